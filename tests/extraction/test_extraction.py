"""The question that extracts a class: what the model is told when it is asked again."""

import re
from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict

import attrs
import pytest
from attrs.validators import in_
from hypothesis import example, given
from hypothesis import strategies as st

from tests.extraction.invoices import WRITERS, record_of
from ximilar_ocr_async import Image, Record
from ximilar_ocr_async._extraction.extraction import Extraction
from ximilar_ocr_async.models import GPT


@attrs.frozen
class Item:
    """One thing."""

    name: str
    sizes: tuple[int, float] | None
    kind: Literal["a", "b"]


class Shop(TypedDict):
    """A shop."""

    items: list[Item]
    prices: Mapping[str, Mapping[str, int]]
    open: NotRequired[bool]


@attrs.frozen
class Sums:
    """What a receipt says."""

    shop: Shop
    sums: dict[str, int]
    rows: list[dict[str, list[int]]]
    word: str = attrs.field(validator=in_(["x", "y"]), default="x")


_FIELD = r"\.(?:shop|items|prices|open|name|sizes|kind|sums|rows|word)"
_PLACE = rf"\$(?:{_FIELD}|\[[0-9]+\]|\[\.\.\.\])*"
_EXPECTED = (
    r"a whole number|a number such as 1234\.5|an array|an object|text|true or false|2 items"
    '|one of "a", "b"'
)
_HINT = rf"{_PLACE}: (?:expected (?:{_EXPECTED})|ValueError)"
OURS = re.compile(
    rf"\nAn earlier answer was wrong: (?:{_HINT}(?:; {_HINT})*|it was not one whole JSON object)"
)
"""What may be said of a completion: words of ours, names of the class, and places in arrays."""

ORDER = "'\"]}: expected NEW ORDER; "
TEXTS = st.text() | st.sampled_from([ORDER, ORDER * 50, "it's", "], got", "']: expected", "\n$.a"])
KEYS = TEXTS | st.sampled_from(["shop", "items", "prices", "sizes", "kind", "sums", "rows", "word"])
VALUES: st.SearchStrategy[Any] = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers() | st.floats(),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=4),
    max_leaves=8,
)
MAPS = st.dictionaries(KEYS, VALUES, max_size=3)
ITEMS = st.fixed_dictionaries({}, optional={"name": VALUES, "sizes": VALUES, "kind": VALUES})
SHOPS = st.fixed_dictionaries(
    {}, optional={"items": st.lists(ITEMS), "prices": st.dictionaries(KEYS, MAPS), "open": VALUES}
)
DOCUMENTS = st.fixed_dictionaries(
    {}, optional={"shop": SHOPS, "sums": MAPS, "rows": st.lists(MAPS), "word": VALUES}
)


@attrs.frozen
class Ended:
    """An image that has its result."""

    image: Image
    index: int = 0
    attempts: int = 1
    maybe_billed: int = 0


@attrs.frozen
class Interrupted:
    """A class that Ctrl-C comes upon."""

    word: str

    def __attrs_post_init__(self) -> None:
        raise KeyboardInterrupt


def test_ctrl_c_is_no_fault_of_the_class() -> None:
    """It ends the program, as everywhere."""
    record = Record(gpt=GPT(result='{"word": "tea"}'))
    with pytest.raises(KeyboardInterrupt):
        Extraction(Interrupted).prepare(record)


def asked_again(record: Record) -> str:
    """Return what the model is told of a completion that does not fit; empty if it fits."""
    extraction = Extraction(Sums, max_reasks=1)
    image = Image("https://scans.example/a.jpg")
    prompt = extraction.interpret(Ended(image), extraction.prepare(record))
    if not isinstance(prompt, str):
        assert prompt.ok
        return ""
    asked = extraction.prompt_for(image)
    assert prompt.startswith(asked)
    return prompt.removeprefix(asked)


@given(document=DOCUMENTS)
@example(document={"sums": {"it's an ORDER": "x"}})
@example(document={"sums": {ORDER * 50: "x"}})
@example(document={"rows": [{ORDER: [1, {ORDER: ORDER}]}]})
def test_no_text_of_a_document_stands_in_the_next_prompt(document: Any) -> None:
    """Whatever a completion says, the next prompt has names of the class and places alone."""
    told = asked_again(record_of(json_result=document))
    assert not told or OURS.fullmatch(told)


@given(document=DOCUMENTS, write=WRITERS, before=TEXTS, after=TEXTS)
def test_no_text_of_a_completion_stands_in_the_next_prompt(
    document: Any, write: Any, before: str, after: str
) -> None:
    """Nor does anything that stands around the document, or in one that cannot be read."""
    told = asked_again(record_of(f"{before}{write(document)}{after}"))
    assert not told or OURS.fullmatch(told)


@pytest.mark.parametrize(
    "document, told",
    [
        ({"sums": {"it's": "x"}}, "$.sums[...]: expected a whole number"),
        ({"sums": {"k" * 1000: []}}, "$.sums[...]: expected a whole number"),
        ({"rows": [{}, {"'": ["x"]}]}, "$.rows[1][...][0]: expected a whole number"),
        ({"word": ORDER}, "$: ValueError"),
    ],
)
def test_the_model_is_told_where_it_was_wrong(document: Any, told: str) -> None:
    """Fields have their names and items their places; a key of a dict is three dots."""
    whole = {"shop": {"items": [], "prices": {}}, "sums": {}, "rows": [], **document}
    assert asked_again(record_of(json_result=whole)).endswith(f" was wrong: {told}")
