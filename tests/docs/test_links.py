"""What the pages point at is there, and the README stays a page."""

import pytest

from tests.docs.pages import PACKAGE, PAGES, README, ROOT, Page, load

LONGEST_README = 200


def describe(page: Page) -> str:
    """Name a page in the id of a test."""
    return page.name


def is_elsewhere(link: str) -> bool:
    """Whether a link leads out of the checkout."""
    return link.startswith(("http://", "https://"))


@pytest.mark.parametrize("page", PAGES, ids=describe)
def test_links_lead_to_what_exists(page: Page) -> None:
    """Each relative link leads to a file, and to a heading of it where it names one."""
    for link in page.links():
        if is_elsewhere(link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.path.parent / path).resolve() if path else page.path
        assert target.is_file(), f"{page.name}: {link}"
        assert target.is_relative_to(ROOT), f"{page.name}: {link}"
        assert not anchor or anchor in load(target).anchors(), f"{page.name}: {link}"


@pytest.mark.parametrize("page", PAGES, ids=describe)
def test_files_that_are_named_exist(page: Page) -> None:
    """Each file that is named as code lies where it is said to, in the checkout or the package."""
    for source in page.sources():
        if "/" in source:
            assert (ROOT / source).is_file() or (PACKAGE / source).is_file(), source


def test_every_page_is_reached_from_the_readme() -> None:
    """No page is written for nobody."""
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in README.links()}
    assert {page.path for page in PAGES} - {README.path} <= linked


def test_the_readme_is_a_page() -> None:
    """What takes longer stands on a page of its own."""
    assert len(README.text.splitlines()) <= LONGEST_README
