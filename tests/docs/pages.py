"""The written pages: files of Markdown in, their blocks, tables, links and anchors out."""

import re
from collections.abc import Iterator
from pathlib import Path

from attrs import frozen

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "ximilar_ocr_async"

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_INLINE_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"\[[^]]*\]\(([^)\s]+)\)", re.DOTALL)
_SOURCE = re.compile(r"`([\w./]+\.(?:py|md|toml))`")


@frozen
class Page:
    """One page of Markdown.

    Attributes:
        path: Where it lies.
        text: All of it.
    """

    path: Path
    text: str

    @property
    def name(self) -> str:
        """Its path, from the root of the checkout."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def prose(self) -> str:
        """All but the fenced blocks."""
        return _FENCED.sub("", self.text)

    def blocks(self, language: str) -> list[str]:
        """Return the fenced blocks in *language*."""
        return [block for tag, block in _FENCED.findall(self.text) if tag == language]

    def links(self) -> Iterator[str]:
        """Yield the target of each link and of each picture."""
        yield from _LINK.findall(_INLINE_CODE.sub("", self.prose))

    def anchors(self) -> set[str]:
        """Return what may follow a # in a link to this page, as GitHub makes it of headings."""
        kept = (re.sub(r"[^\w\- ]", "", found.lower()) for found in _HEADING.findall(self.prose))
        return {heading.replace(" ", "-") for heading in kept}

    def sources(self) -> list[str]:
        """Return the files that it names as code."""
        return _SOURCE.findall(self.prose)

    def section(self, heading: str) -> str:
        """Return what stands under a heading of the second level."""
        [found] = re.findall(
            rf"^## {heading}\n(.*?)(?=^## |\Z)", self.text, re.DOTALL | re.MULTILINE
        )
        return str(found)

    def table(self, heading: str) -> list[list[str]]:
        """Return the cells of the one table under a heading, without its first two rows."""
        lines = [line for line in self.section(heading).splitlines() if line.startswith("|")]
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def load(path: Path) -> Page:
    """Load a page."""
    return Page(path, path.read_text(encoding="utf-8"))


README = load(ROOT / "README.md")
MANUAL = [README, *map(load, sorted((ROOT / "docs").glob("*.md")))]
"""What tells how the package is used; its blocks run."""

PAGES = [*MANUAL, load(ROOT / "CONTRIBUTING.md"), load(ROOT / "CHANGELOG.md")]


def page(name: str) -> Page:
    """Return the page docs/*name*.md."""
    [found] = [one for one in PAGES if one.name == f"docs/{name}.md"]
    return found


def code_words(cell: str) -> list[str]:
    """Return what is marked as code in a cell of a table."""
    return [marked.strip("`") for marked in _INLINE_CODE.findall(cell)]


def write_blocks(folder: Path) -> None:
    """Write each block of Python in the manual to a file, which ``make types`` checks."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.py"):
        old.unlink()
    for found in MANUAL:
        for number, block in enumerate(found.blocks("python"), 1):
            path = folder / f"{found.path.stem.lower().replace('-', '_')}_{number}.py"
            path.write_text(block, encoding="utf-8")


if __name__ == "__main__":
    write_blocks(ROOT / "out" / "blocks")
