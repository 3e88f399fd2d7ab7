"""Makes one measurement in a process of its own, and prints it as a line of JSON.

    python benchmarks/child.py MODULE.FUNCTION '{"argument": 1}'

Memory and CPU are clean that way. Nothing but the standard library is imported before the
measurement's own module, so that what stands in *without* can be made impossible to import.
"""

import json
import os
import sys
from importlib import import_module
from typing import Any


def main() -> None:
    """Make the measurement that the command line names."""
    module, _, function = sys.argv[1].partition(".")
    arguments: dict[str, Any] = json.loads(sys.argv[2])
    blocked: dict[str, Any] = dict.fromkeys(arguments.pop("without", ()))
    sys.modules.update(blocked)
    figures = getattr(import_module(module), function)(**arguments)
    print(json.dumps(figures), flush=True)
    # Clients that are still under way would take long to stop, some of them for ever.
    os._exit(0)


if __name__ == "__main__":
    main()
