"""The command line ``ximilar-ocr``. Each command is a module, which is loaded when it is used."""

import sys
from typing import Any

EXIT_CODES = (
    "Exit codes: 0 success; 1 some images failed; "
    "2 wrong usage, no token or no images; 130 interrupted; 143 terminated."
)

EXTRACT = """Fill in a class from images with the language model.

An answer costs 15 credits. To use a language model of your own, start
"ximilar-ocr serve --gpt-url ..." and point XIMILAR_BASE_URL there.
"""

SUBMIT = """Submit images to be read later, and print the ids of their asynchronous requests.

Keep the ids: "ximilar-ocr jobs wait" accepts them on any machine for two weeks.
"""

COMMANDS = {
    "read": "Read the text in images.",
    "extract": EXTRACT,
    "serve": "Serve OCR on this machine. Use any token, and set XIMILAR_BASE_URL to its URL.",
    "webhook": "Receive webhooks and print the outcomes that they deliver.",
    "account": "Show the account. It costs nothing.",
}
"""Help text of each command. The docstrings are not known before a command's module is loaded."""


def main() -> None:
    """Run the command line. It needs the extra ``cli``."""
    # Imported here because they load much, and so nothing is interrupted before it is handled.
    from ximilar_ocr_async.cli.console import standard_streams  # noqa: PLC0415
    from ximilar_ocr_async.cli.interrupts import end_at_once, interrupts  # noqa: PLC0415

    with interrupts.heard():
        try:
            with standard_streams():
                _run()
        finally:
            if interrupts.number is not None:
                end_at_once(interrupts.number)


def _run() -> None:
    try:
        from cyclopts import App  # noqa: PLC0415 - the extra may not be installed
    except ModuleNotFoundError:
        sys.exit("ximilar-ocr needs the extra cli: pip install 'ximilar-ocr-async[cli]'")
    app = App(
        name="ximilar-ocr",
        help="Read the text in images with Ximilar's OCR service.",
        help_epilogue=EXIT_CODES,
        version=_version,
    )
    for name, text in COMMANDS.items():
        app.command(f"ximilar_ocr_async.cli.{name}:{name}", help=text)
    app.command(
        jobs := App(name="jobs", help="Submit images to be read later, and get the results.")
    )
    _add_job_commands(jobs)
    app(sys.argv[1:])


def _add_job_commands(jobs: Any) -> None:
    module = "ximilar_ocr_async.cli.jobs"
    jobs.command("ximilar_ocr_async.cli.submit:submit", help=SUBMIT)
    jobs.command(
        f"{module}:list_jobs", name="list", help="List the account's asynchronous requests."
    )
    jobs.command(f"{module}:show", help="Show the state of asynchronous requests.")
    jobs.command(f"{module}:wait", help="Wait for outcomes, and print them as they arrive.")


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415 - only --version needs it

    return version("ximilar-ocr-async")
