"""The page about security rests on tests."""

import re

import pytest

from tests.docs.pages import ROOT, page

TESTS = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(
        r"^(?:async )?def (test_\w+)", path.read_text(encoding="utf-8"), re.MULTILINE
    )
}

PROMISES = re.findall(r"^- (.*?)(?=^- |^$|\Z)", page("security").text, re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("promise", PROMISES)
def test_every_promise_names_its_tests(promise: str) -> None:
    """Each point of the page names tests, and they exist."""
    named = set(re.findall(r"`(test_\w+)`", promise))
    assert named
    assert named <= TESTS
