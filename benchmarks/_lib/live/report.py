"""The report: findings in; a page to be sent back and a table for the terminal out."""

from collections.abc import Sequence
from datetime import UTC, datetime

from attrs import frozen
from rich.table import Table
from rich.text import Text

from _lib.live.lab import Finding, Lab
from _lib.live.wire import Answer

MOST = 500
"""How much of a body is shown [characters]."""

TITLE = "What the service at {url} does"


@frozen
class Report:
    """What a run came to. Nothing in it holds the token.

    Attributes:
        lab: Where it was asked.
        findings: What was found.
    """

    lab: Lab
    findings: Sequence[Finding]

    def table(self) -> Table:
        """Return the findings as a table for the terminal."""
        table = Table(title=TITLE.format(url=self.lab.place.url), show_lines=True)
        for name in ("question", "what was done", "what came"):
            table.add_column(name, overflow="fold")
        table.add_column("credits", justify="right")
        for finding in self.findings:
            cells = finding.question, finding.did, finding.came, credits_of(finding)
            table.add_row(*(Text(self._redact(cell)) for cell in cells))
        return table

    def markdown(self) -> str:
        """Return the whole report as Markdown."""
        budget = self.lab.budget
        lines = [
            f"# {TITLE.format(url=self.lab.place.url)}",
            "",
            f"Asked on {datetime.now(tz=UTC):%Y-%m-%d %H:%M} UTC with {budget.limit} credits.",
            "",
            "| question | what was done | what came | credits: before, after, spent |",
            "|---|---|---|---|",
        ]
        lines += [_row(finding) for finding in self.findings]
        lines += ["", "## Answers as they came", ""]
        for name, answer in self.lab.kept:
            lines += _show(name, answer)
        return self._redact("\n".join(lines))

    def _redact(self, text: str) -> str:
        # Answers come without the token already; here it is about errors that quote something.
        return self.lab.place.redact(text.encode()).decode()


def credits_of(finding: Finding) -> str:
    """Return the account's credits before and after, and the cost."""
    before, after = (
        "?" if counter is None else str(counter) for counter in (finding.before, finding.after)
    )
    if before == after == "?":
        return ""
    cost = "?" if finding.cost is None else str(finding.cost)
    return f"{before}, {after}, {cost}"


def _row(finding: Finding) -> str:
    cells = finding.question, finding.did, finding.came, credits_of(finding)
    return "| " + " | ".join(_cell(cell) for cell in cells) + " |"


def _cell(text: str) -> str:
    """Return *text* as a cell, in which nothing is taken for Markdown or HTML."""
    for sign in "\\|`*_[":
        text = text.replace(sign, f"\\{sign}")
    return "<br>".join(text.replace("&", "&amp;").replace("<", "&lt;").splitlines())


def _show(name: str, answer: Answer) -> list[str]:
    headers = [f"{key}: {_visible(key, value)}" for key, value in answer.headers]
    body = answer.text[:MOST]
    more = f"… ({len(answer.body):,} bytes)" if len(answer.text) > MOST else ""
    lines = [f"HTTP/{answer.version} {answer.status}", *headers, "", body + more]
    # Indented and not fenced, because a body may hold a fence.
    shown = "\n".join(lines).splitlines()
    return [f"### {name}", "", *(f"    {line}" for line in shown), ""]


def _visible(name: str, value: str) -> str:
    """Return the value of a header, without those of cookies, which may name the account."""
    return value.partition("=")[0] + "=***" if name == "set-cookie" else value
