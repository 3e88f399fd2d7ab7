"""The log of what happens: events in, lines out. What is logged of the service stands here."""

import logging
from typing import Any

from attrs import define, field

from ximilar_ocr_async.events import (
    AttemptEnded,
    Event,
    HoldBegan,
    LimitChanged,
    OutageEnded,
    ProbeFailed,
    RetryScheduled,
)

_log = logging.getLogger("ximilar_ocr_async.scheduling")


def is_logged(level: int) -> bool:
    """Whether anybody reads lines of this *level*."""
    return _log.isEnabledFor(level)


@define(eq=False)
class EventLog:
    """Logs events. Lives as long as its session."""

    # Endpoints whose outage was told.
    _out: set[str] = field(init=False, factory=set)

    def __call__(self, event: Event) -> None:
        """Log *event*, if it is one that is logged."""
        match event:
            case AttemptEnded(lang=lang, records=records, billed=read, duration=seconds):
                words = (
                    "%(endpoint)s %(lang)s, %(records)d records, %(read)d read in %(seconds).3f s"
                )
                facts = {"lang": lang, "records": records, "read": read, "seconds": seconds}
                _say(logging.DEBUG, words, event.endpoint, facts)
            case RetryScheduled(records=records, pause=pause, error=error):
                words = "%(records)d records are sent again after %(seconds).1f s: %(error)s"
                facts = {"records": records, "seconds": pause, "error": error}
                _say(logging.DEBUG, words, event.endpoint, facts)
            case HoldBegan(duration=seconds, error=error):
                words = "the service asks to be left alone for %(seconds).1f s: %(error)s"
                _say(logging.INFO, words, event.endpoint, {"seconds": seconds, "error": error})
            case LimitChanged(before=before, after=after) if before:
                words = "limit %(before)d -> %(after)d"
                _say(logging.INFO, words, event.endpoint, {"before": before, "after": after})
            # Not at its beginning: two failures in a row may be chance.
            case ProbeFailed(endpoint=endpoint, why=why) if endpoint not in self._out:
                self._out.add(endpoint)
                words = "the service is out of reach, waiting for it: %(error)s"
                _say(logging.WARNING, words, endpoint, {"error": why})
            case OutageEnded(endpoint=endpoint, duration=seconds) if endpoint in self._out:
                self._out.discard(endpoint)
                words = "the service is back after %(seconds).1f s"
                _say(logging.WARNING, words, endpoint, {"seconds": seconds})


def _say(level: int, words: str, endpoint: str, facts: dict[str, Any]) -> None:
    facts = {"endpoint": endpoint, **facts}
    _log.log(level, words, facts, extra=facts)
