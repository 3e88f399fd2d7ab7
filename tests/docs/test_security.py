"""The page about security promises what tests hold."""

import re

import pytest

from tests.docs.pages import ROOT, page

NAMED = re.findall(r"`(test_\w+)`", page("security").text)


@pytest.mark.parametrize("name", sorted(set(NAMED)))
def test_every_test_that_is_named_exists(name: str) -> None:
    """Each test that holds a promise is found under its name."""
    sources = (path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert any(f"def {name}(" in source for source in sources)


@pytest.mark.parametrize("heading", ["Lists and files", "Secrets"])
def test_every_promise_names_its_tests(heading: str) -> None:
    """No row of a table is without a test."""
    for promise, held_by in page("security").table(heading):
        assert "`test_" in held_by, promise
