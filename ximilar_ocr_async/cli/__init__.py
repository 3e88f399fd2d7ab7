"""The command line ``ximilar-ocr``: the commands, each in a module of its own, loaded when used."""

import sys
from typing import Any

EXIT_CODES = (
    "Exit codes: 0 all went well; 1 some images failed; "
    "2 wrong usage, no token, or no images; 130 interrupted."
)


SUBMIT = """Submit images; the ids of their asynchronous requests come to standard output.

Keep them: "ximilar-ocr jobs wait" takes them, on any machine, for two weeks.
"""


def main() -> None:
    """Run the command line; the extra ``cli`` brings what it needs."""
    try:
        from cyclopts import App  # noqa: PLC0415 - an extra, which may not be installed
    except ModuleNotFoundError:
        sys.exit("ximilar-ocr needs the extra cli: pip install 'ximilar-ocr-async[cli]'")
    app = App(
        name="ximilar-ocr",
        help="Read text off images with Ximilar's OCR service.",
        help_epilogue=EXIT_CODES,
        version=_version,
    )
    # Said here because what is loaded when used has no docstring to show before.
    app.command("ximilar_ocr_async.cli.read:read", help="Read the text off images.")
    app.command(
        "ximilar_ocr_async.cli.extract:extract",
        help="""Have the language model fill in a class from images.

        An answer costs 15 credits. To have it on this machine, give a language model of your own
        to "ximilar-ocr serve --gpt-url ...", and point XIMILAR_BASE_URL there.
        """,
    )
    app.command(
        "ximilar_ocr_async.cli.serve:serve",
        help="Serve OCR on this machine: any token, and its address as XIMILAR_BASE_URL.",
    )
    _add_jobs(app)
    app(sys.argv[1:])


def _add_jobs(app: Any) -> None:
    """Add the commands about the account, and about images that are read later."""
    module = "ximilar_ocr_async.cli"
    told = "Submit images to be read later, and take up what was submitted."
    app.command(jobs := type(app)(name="jobs", help=told))
    jobs.command(f"{module}.jobs:submit", help=SUBMIT)
    jobs.command(f"{module}.jobs:list_jobs", name="list", help="List what was submitted.")
    jobs.command(f"{module}.jobs:show", help="Show how asynchronous requests stand.")
    jobs.command(f"{module}.jobs:wait", help="Wait for outcomes, and write them as they are done.")
    app.command(f"{module}.webhook:webhook", help="Receive outcomes that a webhook is told.")
    app.command(f"{module}.account:account", help="Show the account. It costs nothing.")


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415 - asked for by --version alone

    return version("ximilar-ocr-async")
