"""Calls one function in a process of its own, and prints what it returns as a line of JSON.

    python -m _lib.child MODULE.FUNCTION '{"argument": 1}'

Memory and CPU are measured cleanly that way. Only the standard library is imported before the
function's own module, so that the modules named by *without* can be made impossible to import.
"""

import json
import os
import sys
from importlib import import_module
from typing import Any


def main() -> None:
    """Call the function that the command line names."""
    module, _, function = sys.argv[1].rpartition(".")
    arguments: dict[str, Any] = json.loads(sys.argv[2])
    blocked: dict[str, Any] = dict.fromkeys(arguments.pop("without", ()))
    sys.modules.update(blocked)
    returned = getattr(import_module(module), function)(**arguments)
    print(json.dumps(returned), flush=True)
    # Clients that are still under way would take long to stop, and some would never stop.
    os._exit(0)


if __name__ == "__main__":
    main()
