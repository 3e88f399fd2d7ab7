"""Watches what tests raise and log for secrets: tracebacks are looked into with their locals."""

import logging
import re
import traceback
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

SECRET = re.compile(
    r"authorization\W{1,9}(b\W)?(Token|Basic) \w"  # in the repr of bytes, texts, pairs and mappings
    r"|://[^\s/@:'\"]*:[^\s/@*'\"]+@"  # a URL with a password
    r"|s3cret",  # what tests call a secret
    re.IGNORECASE,
)
"""What shows the token, a password of a service or a proxy, or a secret of a webhook."""

TESTS = str(Path(__file__).parent)


def leaks(error: BaseException) -> Iterator[str]:
    """Yield where a secret stands in a frame below the tests, of *error* or what led to it."""
    seen: set[int] = set()
    errors: list[BaseException | None] = [error]
    while errors:
        one = errors.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        errors += [one.__cause__, one.__context__, *getattr(one, "exceptions", ())]
        if SECRET.search(str(one)):
            yield f"{type(one).__name__}: {one}"
        for frame, line in traceback.walk_tb(one.__traceback__):
            code = frame.f_code
            if code.co_filename.startswith(TESTS):
                continue
            for name, value in frame.f_locals.items():
                if SECRET.search(shown := _show(value)):
                    yield f"{name} in {code.co_name}, {code.co_filename}:{line}: {shown[:200]}"


def _show(value: object) -> str:
    """Return the repr of a local, as those who collect tracebacks make it."""
    try:
        return repr(value)
    except Exception:  # noqa: BLE001 - of an object that is half made
        return ""


class Watch(logging.Handler):
    """Looks into what is logged, and what `pytest.raises` catches.

    Attributes:
        found: Where secrets were.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Look into a record, its words and its exception."""
        if record.exc_info and record.exc_info[1]:
            self.found += leaks(record.exc_info[1])
        if SECRET.search(record.getMessage()):
            self.found.append(f"logged: {record.getMessage()[:200]}")

    def raises(self, *args: Any, **options: Any) -> Any:
        """Stand in for `pytest.raises`."""
        caught = _raises(*args, **options)
        return _Watched(caught, self) if hasattr(caught, "__exit__") else caught


class _Watched:
    """What `pytest.raises` returns, with a look into what it catches."""

    def __init__(self, context: Any, watch: Watch) -> None:
        self._context, self._watch = context, watch

    def __enter__(self) -> Any:
        return self._context.__enter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        frames: TracebackType | None,
    ) -> Any:
        # What is shown takes memory, which some tests measure.
        if error is not None and not tracemalloc.is_tracing():
            self._watch.found += leaks(error)
        return self._context.__exit__(kind, error, frames)


_raises = pytest.raises
