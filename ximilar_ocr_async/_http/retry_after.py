"""A Retry-After header in, the seconds to wait out [RFC 9110, 10.2.3]."""

import re
from datetime import UTC, datetime
from typing import Any

ASKED = 10
"""How many of its headers are looked at."""

# float() would accept "inf", "1_0" and the digits of other scripts.
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})?", re.ASCII)


def parse_retry_after(value: str | None, *, now: datetime) -> float | None:
    """Return how long a Retry-After header, with seconds or a date, asks to wait.

    Args:
        value: The header, if there is one.
        now: The current time, with a time zone. A date is compared with it.

    Returns:
        How long to wait [s], at least 0. None if there is no header or it is invalid.
    """
    if value is None:
        return None
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    date = parse_date(text)
    return None if date is None else max(0.0, (date - now).total_seconds())


def parse_date(text: str | None) -> datetime | None:
    """Parse a date in any of HTTP's three formats [RFC 9110, 5.6.7]; None if it is invalid."""
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - rarely needed

    try:
        date = parsedate_to_datetime(text or "")
        # The oldest format has no time zone and means UTC.
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return date.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def find_retry_after(headers: Any) -> float | None:
    """Return the longest wait [s] that the *headers* of a response ask for."""
    if headers is None or "Retry-After" not in headers:
        return None
    # A date is held against the service's own clock, which may differ from ours.
    now = parse_date(headers.get("Date")) or datetime.now(UTC)
    values = headers.get_list("Retry-After")[:ASKED]
    asked = [parse_retry_after(value, now=now) for value in values]
    return max((wait for wait in asked if wait is not None), default=None)
