"""The page about security promises what tests hold."""

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

TEXT = page("security").text

POINTS = re.findall(r"^- (.*?)(?=^- |^$|\Z)", TEXT, re.DOTALL | re.MULTILINE)

ROWS = [row for row in re.findall(r"^\| (.*) \|$", TEXT, re.MULTILINE) if "held by" not in row]


@pytest.mark.parametrize("promise", [*POINTS, *ROWS])
def test_every_promise_names_its_tests(promise: str) -> None:
    """Each point and each row of the page names tests, and they exist."""
    named = set(re.findall(r"`(test_\w+)`", promise))
    assert named
    assert named <= TESTS
