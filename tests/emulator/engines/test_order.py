"""Texts on a page in, the same texts in reading order out."""

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from ximilar_ocr_async.emulator.engines.order import reading_order
from ximilar_ocr_async.models import Text


def box(x: float, y: float, width: float = 30, height: float = 10, tilt: float = 0) -> Text:
    """A text named by its place on a page that is turned clockwise by *tilt* [rad]."""
    corners = (x, y), (x + width, y), (x + width, y + height), (x, y + height)
    sine, cosine = math.sin(tilt), math.cos(tilt)
    turned = tuple((x * cosine - y * sine, x * sine + y * cosine) for x, y in corners)
    return Text(f"{x:g},{y:g}", turned)


@given(
    rows=st.integers(1, 6),
    columns=st.integers(1, 6),
    tilt=st.floats(-0.2, 0.2),
    seed=st.randoms(use_true_random=False),
    data=st.data(),
)
def test_order_of_a_table(
    rows: int, columns: int, tilt: float, seed: random.Random, data: st.DataObject
) -> None:
    """The cells of a table are read row by row, however they are shuffled or the page is tilted."""
    jitter = st.floats(-2, 2)
    cells = [
        box(100 * column, 30 * row + data.draw(jitter), tilt=tilt)
        for row in range(rows)
        for column in range(columns)
    ]
    shuffled = list(cells)
    seed.shuffle(shuffled)
    assert reading_order(shuffled) == tuple(cells)


@given(
    st.lists(
        st.builds(
            box,
            st.floats(0, 1000),
            st.floats(0, 1000),
            st.floats(0, 500),
            st.floats(0, 50),
            st.floats(-3, 3),
        )
    )
)
def test_order_keeps_all(texts: list[Text]) -> None:
    """Putting texts in order loses none and adds none."""
    assert sorted(map(str, reading_order(texts))) == sorted(map(str, texts))


def test_order_of_columns() -> None:
    """Texts that run downwards are columns, read from the right."""
    first, second, third = box(200, 0, 10, 90), box(100, 5, 10, 300), box(100, 310, 10, 50)
    assert reading_order([third, second, first]) == (first, second, third)


def test_order_of_letter_sizes() -> None:
    """A small print beside a headline shares its row; the line below the headline does not."""
    headline, small, below = box(0, 0, 200, 60), box(210, 25, 40, 12), box(0, 70, 200, 12)
    assert reading_order([below, small, headline]) == (headline, small, below)
