"""A source that holds up the event loop: when each pull was made in, a warning out.

Pure: the caller passes the time in.
"""

import logging
import warnings
from inspect import isgenerator
from pathlib import Path

from attrs import define, field

LONG = 0.05
"""[s] that a pull may hold up the event loop. Source: judgement; asyncio's debug mode says 0.1."""

TIMES = 3
"""Pulls that take longer which are too many for an accident, within `MINUTE`."""

MINUTE = 60.0
"""[s]."""

_log = logging.getLogger("ximilar_ocr_async")


@define(eq=False)
class SlowSource:
    """Watches a synchronous source, and warns of it once. Lives as long as it is pulled from."""

    _source: object
    _times: int = field(init=False, default=0)
    # When [s] the first of them was made.
    _first: float = field(init=False, default=0.0)
    _is_told: bool = field(init=False, default=False)

    def count(self, began: float, now: float) -> None:
        """Count a pull that *began* then [s], and brought an image *now* [s]."""
        # A busy machine may hold up a list, too.
        if now - began <= LONG or self._is_told or isinstance(self._source, list | tuple):
            return
        if not self._times or began - self._first > MINUTE:
            self._times, self._first = 0, began
        self._times += 1
        if self._times == TIMES:
            self._is_told = True
            self._warn()

    def _warn(self) -> None:
        message = (
            f"images come from {_name(self._source)}, which holds up the event loop for more than"
            f" {LONG * 1000:.0f} ms at a time; pass an async iterable, and fetch what takes long"
            " with anyio.to_thread.run_sync"
        )
        try:
            # No line of the program stands on this stack: it is a task of the session's.
            warnings.warn(message, RuntimeWarning, stacklevel=1)
        except Exception:  # noqa: BLE001 - whatever filters and hooks make of a warning
            # It would end a call whose images were paid for.
            _log.warning("%s", message)


def _name(source: object) -> str:
    """Return what to look for in the program; never what the source holds."""
    if isgenerator(source):
        code = source.gi_code
        where = f"{Path(code.co_filename).name}, line {code.co_firstlineno}"
        return f"the generator {source.__qualname__} ({where})"
    return f"a {type(source).__qualname__}"
