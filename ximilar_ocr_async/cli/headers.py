"""Headers of webhooks: what the command line says of them in, names and values out."""

from collections.abc import Iterable, Iterator
from typing import Annotated, TypeAlias

from cyclopts import Parameter

from ximilar_ocr_async._protocol import Webhook
from ximilar_ocr_async.cli.console import warn_of_secret, write_message
from ximilar_ocr_async.cli.lists import LIST_FILE, read_list
from ximilar_ocr_async.errors import OptionError, shown

Headers: TypeAlias = Annotated[list[str] | None, Parameter(negative="")]


def parse_headers(words: Iterable[str] | None, option: str) -> dict[str, str]:
    """Return headers by their names. Warn of those that were typed.

    Args:
        words: Each a header as ``Name: value``, or @ and the path of a file with one in each line.
        option: Name of the option that they come from.

    Raises:
        OptionError: A header has no colon, or is given twice. The message shows no value, as it
            may be secret.
        OSError: A file cannot be read.
    """
    given = list(words or ())
    headers: dict[str, str] = {}
    for text in _lines(given):
        name, colon, value = (part.strip() for part in text.partition(":"))
        if not colon:
            raise OptionError(f'{option} has no colon, expected "Name: value"')
        if name in headers:
            raise OptionError(f"{option} gives {shown(repr(name))} twice")
        headers[name] = value
    if not all(word.startswith(LIST_FILE) for word in given):
        warn_of_secret(option, f"give {option} @FILE")
    return headers


def _lines(words: Iterable[str]) -> Iterator[str]:
    for word in words:
        if not word.startswith(LIST_FILE):
            yield word
            continue
        for entries in read_list(word):
            yield from entries


def show_secret(webhook: Webhook) -> None:
    """Show the generated headers of *webhook* on standard error, because nobody knows them yet."""
    for name, value in webhook.headers.items():
        write_message("deliveries have this header; it is your secret and is not shown again:")
        write_message(f"{name}: {value}")
