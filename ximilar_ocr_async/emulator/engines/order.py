"""Reading order: texts in any order in, the same texts sorted out."""

from collections.abc import Sequence
from math import atan2, cos, dist, pi, sin
from operator import attrgetter
from statistics import fmean, median

from attrs import frozen

from ximilar_ocr_async.models import Text

VERTICAL_RATIO = 1.5
"""Least ratio of height to width of vertical text. Source: rapidocr, which turns such texts."""


@frozen
class TextPosition:
    """Position of a text on its page after the page has been levelled.

    Attributes:
        along: Distance of the text's centre along the reading direction [px].
        across: Distance of the text's centre across the reading direction [px].
        height: Height of the letters [px].
        text: The text itself.
    """

    along: float
    across: float
    height: float
    text: Text


def reading_order(texts: Sequence[Text]) -> tuple[Text, ...]:
    """Sort *texts* into rows from the top, and each row from the left.

    A text belongs to a row if its centre lies less than half a letter's height below the centre of
    the row's highest text. Rows follow the tilt of the page, which is the median tilt of its texts.
    If most texts are vertical, they are columns and read from the right.

    Args:
        texts: Texts whose polygons have four points.
    """
    if not texts:
        return ()
    vertical = median(_steepness(text) for text in texts) >= VERTICAL_RATIO
    tilt = median(_tilt(text) for text in texts) + (pi / 2 if vertical else 0)
    rows: list[list[TextPosition]] = []
    positions = [_locate(text, tilt, vertical=vertical) for text in texts]
    for position in sorted(positions, key=attrgetter("across")):
        if rows and _is_in_row(position, rows[-1][0]):
            rows[-1].append(position)
        else:
            rows.append([position])
    return tuple(position.text for row in rows for position in sorted(row, key=attrgetter("along")))


def _steepness(text: Text) -> float:
    """Return the ratio of the height of *text* to its width."""
    top_left, top_right, _, bottom_left = text.polygon
    return dist(top_left, bottom_left) / max(1, dist(top_left, top_right))


def _tilt(text: Text) -> float:
    """Return the angle of the upper edge of *text* [rad], clockwise from level."""
    (left, top), (right, end) = text.polygon[:2]
    return atan2(end - top, right - left)


def _locate(text: Text, tilt: float, *, vertical: bool) -> TextPosition:
    """Return the position of *text* on axes turned clockwise by *tilt* [rad]."""
    x = fmean(x for x, _ in text.polygon)
    y = fmean(y for _, y in text.polygon)
    return TextPosition(
        along=x * cos(tilt) + y * sin(tilt),
        across=y * cos(tilt) - x * sin(tilt),
        height=dist(text.polygon[0], text.polygon[1 if vertical else 3]),
        text=text,
    )


def _is_in_row(position: TextPosition, highest: TextPosition) -> bool:
    return position.across - highest.across < min(position.height, highest.height) / 2
