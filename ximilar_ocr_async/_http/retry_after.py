"""A Retry-After header in, seconds to wait out [RFC 9110, 10.2.3]."""

import re
from datetime import UTC, datetime

# Not float(): it takes "inf", "1_0" and the digits of other scripts.
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,3})?", re.ASCII)


def parse_retry_after(value: str | None, *, now: datetime) -> float | None:
    """Read a Retry-After header: seconds or a date [RFC 9110, 10.2.3].

    Args:
        value: The header, if there was one.
        now: The present, with its time zone, to hold a date against.

    Returns:
        [s] to wait, not negative; None when there is no header or it makes no sense.
    """
    if value is None:
        return None
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    date = parse_date(text)
    return None if date is None else max(0.0, (date - now).total_seconds())


def parse_date(text: str | None) -> datetime | None:
    """Read a date in any of HTTP's three forms [RFC 9110, 5.6.7]; None if it is none."""
    from email.utils import parsedate_to_datetime  # noqa: PLC0415 - for what is rarely there

    try:
        date = parsedate_to_datetime(text or "")
        # The oldest form names no zone, and means UTC.
        date = date if date.tzinfo else date.replace(tzinfo=UTC)
        return date.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
