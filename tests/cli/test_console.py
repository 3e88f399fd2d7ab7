"""What is written to a file, a pipe or a terminal is fit for it."""

import io
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest

from tests.command_line import CLI
from tests.loopback import Site, answer
from ximilar_ocr_async.cli.console import to_table, write_line
from ximilar_ocr_async.cli.json_lines import to_json

FORGED = "no\n2026-11-27 ERROR root: lost\r\x1b[2J\x9b31m\x7f\u202e\u061coops"


class Terminal(io.TextIOWrapper):
    """Is a terminal."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def written(text: str, cls: type[io.TextIOWrapper] = io.TextIOWrapper, **options: Any) -> bytes:
    """Return the bytes that come of *text*."""
    below = io.BytesIO()
    file = cls(below, newline="", **options)
    write_line(text, file)
    assert file.writable()
    return below.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8", "utf-16"])
def test_no_encoding_ends_the_run(encoding: str) -> None:
    """What an encoding does not have becomes an escape, and JSON stays JSON."""
    value = "aé日\U0001f600\ud800 \udcff"
    line = written(to_json({"a": value}), encoding=encoding)
    assert json.loads(line.decode(encoding)) == {"a": value}
    assert written("é", encoding="ascii") == b"\\u00e9\n"


def test_a_terminal_takes_no_orders() -> None:
    """On a terminal, what steers it is escaped, in text and in JSON; all words stay."""
    line = written(f"{FORGED}\t日本\u3000\u200d", Terminal, encoding="utf-8").decode()
    assert line == (
        "no\n2026-11-27 ERROR root: lost\\r\\u001b[2J\\u009b31m\\u007f\\u202e\\u061coops"
        "\t日本\u3000\u200d\n"
    )
    text = written(to_json([FORGED]), Terminal, encoding="utf-8").decode()
    assert text.removesuffix("\n").isprintable()
    assert json.loads(text) == [FORGED]


def test_a_file_has_the_text_as_it_was_read() -> None:
    """What goes to a file or a pipe is not changed."""
    assert written(FORGED, encoding="utf-8") == f"{FORGED}\n".encode()


def test_a_table_has_a_line_for_each_entry() -> None:
    """Neither a name nor a value begins a line, and a long name is cut."""
    lines = to_table({FORGED: FORGED, "n" * 5000: [FORGED, math.nan], "c": None}).split("\n")
    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines)) < 300


@pytest.fixture
def odd_service(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Serve one answer for all that is not about images."""
    document = {
        "id": FORGED,
        "status": FORGED,
        "type": FORGED * 100,
        FORGED: FORGED,
        "results": [{"id": FORGED, "status": FORGED * 100, "type": FORGED}],
    }
    deep = '"deep": {}, "long": {}'.format("[" * 900 + "]" * 900, "9" * 4000)
    body = json.dumps(document | {"status": 200})[:-1] + f", {deep}}}"
    with Site(answer(body.encode())).open() as site:
        monkeypatch.setenv("XIMILAR_BASE_URL", f"http://127.0.0.1:{site.port}")
        monkeypatch.setenv("XIMILAR_API_TOKEN", "abc")
        yield


@pytest.mark.usefixtures("odd_service")
@pytest.mark.parametrize(
    "words, jsonl, count",
    [
        (["account"], "json", 7),
        (["jobs", "list"], "jsonl", 1),
        (["jobs", "show", "r1", "r2"], "jsonl", 16),
    ],
)
def test_odd_answers_are_lines(cli: CLI, words: list[str], jsonl: str, count: int) -> None:
    """Of whatever the service says of accounts and jobs, there is a line of text or of JSON."""
    ran = cli(*words, "--format", "text")
    assert (ran.code, ran.err) == (0, "")
    assert len(ran.out.splitlines()) == count
    assert all(line.isprintable() for line in ran.out.splitlines())
    ran = cli(*words, "--format", jsonl)
    assert (ran.code, ran.err) == (0, "")
    assert len([json.loads(line) for line in ran.out.splitlines()]) == len(words[2:]) or 1
