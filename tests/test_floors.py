"""The lowest versions of what is installed with the package have no advisory that is known."""

import re
from pathlib import Path

import pytest
from floors import ADVISORIES, allowed

PYPROJECT = Path(__file__).parent.parent / "pyproject.toml"

HELD_BY_OTHERS = {"markdown-it-py", "mpmath"}
"""What needs no floor here: those of others hold, or nothing needs it any more."""


@pytest.mark.parametrize("name", sorted(ADVISORIES.keys() - HELD_BY_OTHERS))
def test_every_advisory_has_a_floor(name: str) -> None:
    """Each dependency of that name begins where the advisory ends, and names it."""
    fixed, advisory = ADVISORIES[name]
    lines = re.findall(rf'^    "{name}>=.*$', PYPROJECT.read_text(encoding="utf-8"), re.MULTILINE)
    assert lines
    for line in lines:
        assert f'"{name}>={fixed}"' in line
        assert advisory in line


@pytest.mark.parametrize(
    "versions, found",
    [
        ({"idna": "3.14.9", "h11": "0.15"}, ["idna", "h11"]),
        ({"idna": "3.15", "certifi": "2024.07.04", "opencv-python-headless": "4.10.0"}, []),
        ({"idna": "3.7", "anyio": "0.1"}, ["idna"]),
    ],
)
def test_versions_with_an_advisory_are_found(versions: dict[str, str], found: list[str]) -> None:
    """What is older than the fix is named, whatever the form of the version; the rest is not."""
    assert allowed(versions) == found
