"""Runs cells in a kernel of Jupyter, and prints what they print and raise."""

import sys
from typing import Any

from jupyter_client.manager import start_new_kernel

SECONDS = 60


def main(cells: list[str]) -> None:
    """Run the *cells* one after the other."""

    def show(message: dict[str, Any]) -> None:
        content = message["content"]
        if message["msg_type"] == "stream" and content["name"] == "stdout":
            sys.stdout.write(content["text"])
        elif message["msg_type"] in {"error", "stream"}:
            sys.stderr.write("\n".join(content.get("traceback", [content.get("text", "")])))

    manager, client = start_new_kernel(startup_timeout=SECONDS)
    try:
        for cell in cells:
            client.execute_interactive(cell, output_hook=show, timeout=SECONDS)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


if __name__ == "__main__":
    main(sys.argv[1:])
