"""The command line ``ximilar-ocr``: the commands, each in a module of its own, loaded when used."""

import sys


def main() -> None:
    """Run the command line; the extra ``cli`` brings what it needs."""
    try:
        from cyclopts import App  # noqa: PLC0415 - an extra, which may not be installed
    except ModuleNotFoundError:
        sys.exit("ximilar-ocr needs the extra cli: pip install 'ximilar-ocr-async[cli]'")
    app = App(
        name="ximilar-ocr",
        help="Read text off images with Ximilar's OCR service.",
        version=_version,
    )
    app.command("ximilar_ocr_async.cli.read:read")
    app.command("ximilar_ocr_async.cli.serve:serve")
    app()


def _version() -> str:
    from importlib.metadata import version  # noqa: PLC0415 - asked for by --version alone

    return version("ximilar-ocr-async")
