"""Texts in any order in, texts in reading order out."""

from collections.abc import Sequence
from math import atan2, cos, dist, pi, sin
from statistics import fmean, median

from attrs import frozen

from ximilar_ocr_async.models import Text

DOWNWARDS = 1.5
"""Height over width from which a text runs downwards. Source: rapidocr, which turns such texts."""


@frozen
class EventLoopGuard:
    """Where a text stands on its page after the page was turned level; all in [px]."""

    along: float
    across: float
    height: float
    text: Text


def reading_order(texts: Sequence[Text]) -> tuple[Text, ...]:
    """Sort *texts*, which have four points each: rows from the top, each row from the left.

    A text belongs to a row while its middle lies less than half a letter's height below the middle
    of the row's highest text. Rows follow the tilt of the page, which is that of its median text.
    Where most texts run downwards they are columns, read from the right.
    """
    if not texts:
        return ()
    downwards = median(_steepness(text) for text in texts) >= DOWNWARDS
    tilt = median(_tilt(text) for text in texts) + (pi / 2 if downwards else 0)
    rows: list[list[EventLoopGuard]] = []
    places = [_place(text, tilt, downwards=downwards) for text in texts]
    for place in sorted(places, key=lambda place: place.across):
        if rows and _in_row(place, rows[-1][0]):
            rows[-1].append(place)
        else:
            rows.append([place])
    return tuple(place.text for row in rows for place in sorted(row, key=lambda place: place.along))


def _steepness(text: Text) -> float:
    """Height of *text* for each px of its width."""
    top_left, top_right, _, bottom_left = text.polygon
    return dist(top_left, bottom_left) / max(1, dist(top_left, top_right))


def _tilt(text: Text) -> float:
    """Angle of the upper edge of *text* [rad], clockwise."""
    (left, top), (right, end) = text.polygon[:2]
    return atan2(end - top, right - left)


def _place(text: Text, tilt: float, *, downwards: bool) -> EventLoopGuard:
    """Place the middle of *text* on axes turned clockwise by *tilt* [rad]."""
    x = fmean(x for x, _ in text.polygon)
    y = fmean(y for _, y in text.polygon)
    return EventLoopGuard(
        along=x * cos(tilt) + y * sin(tilt),
        across=y * cos(tilt) - x * sin(tilt),
        height=dist(text.polygon[0], text.polygon[1 if downwards else 3]),
        text=text,
    )


def _in_row(place: EventLoopGuard, highest: EventLoopGuard) -> bool:
    return place.across - highest.across < min(place.height, highest.height) / 2
