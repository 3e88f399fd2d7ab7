"""Prompts and typed answers from the command line: a class in words in, JSON lines out."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime, time
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from tests.command_line import CLI, JPEG, Ran, served, start, write
from ximilar_ocr_async import OptionError
from ximilar_ocr_async.cli.classes import choose_class, make_class
from ximilar_ocr_async.testing.service.scripted_engine import ScriptedEngine
from ximilar_ocr_async.testing.service.scripted_gpt import ScriptedGPT
from ximilar_ocr_async.testing.service.service import Service

MODULE = """
from datetime import date
from decimal import Decimal
from enum import Enum
from attrs import field, frozen


class Kind(Enum):
    CREDIT = "credit note"


@frozen
class Line:
    item: str
    price: Decimal | None


@frozen
class Invoice:
    kind: Kind
    due: date
    lines: list[Line]
    tags: list[str] = field(factory=list, converter=lambda tags: range(len(tags)))

    class Inner:
        pass


bottom = int
"""

GOOD = {
    "kind": "credit note",
    "due": "2026-12-01",
    "lines": [{"item": "tea", "price": "12.50"}, {"item": "茶", "price": None}],
    "tags": ["a", "b"],
}


@define
class Model:
    """Answers in turn, with the last for ever, and keeps what it was asked."""

    answers: list[Any] = field(factory=lambda: [GOOD])
    asked: list[str] = field(factory=list)

    def __call__(self, prompt: str, _: str) -> str:
        """Answer *prompt*."""
        self.asked.append(prompt)
        now = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return now if isinstance(now, str) else json.dumps(now)


@pytest.fixture(autouse=True)
def folder(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run each test in a folder with two images and a module of classes."""
    # What modules of this folder add to them goes again.
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "invoices", raising=False)
    Path("invoices.py").write_text(MODULE)
    write("a.jpg", "b.jpg")
    return empty_folder


@pytest.fixture
def model() -> Model:
    """Give the language model of the service."""
    return Model()


@pytest.fixture
def service(model: Model, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Serve readings and scripted answers, and point the command line there."""
    there = Service(ScriptedEngine("what stands there"), gpt=ScriptedGPT(model))
    with served(there, monkeypatch) as service:
        yield service


def only(ran: Ran) -> Any:
    """Return the one line of JSON."""
    [line] = ran.lines
    return line


# --- Prompts


@pytest.mark.usefixtures("service")
def test_a_prompt_is_answered_in_place_of_the_text(cli: CLI, model: Model) -> None:
    """As text, what the language model has said stands there; JSON lines have both."""
    model.answers = ["It is\nan invoice."]
    ran = cli("read", "a.jpg", "--prompt", "What is it?")
    assert (ran.code, ran.out, model.asked) == (0, "It is\nan invoice.\n", ["What is it?"])
    line = only(cli("read", "a.jpg", "--prompt", "What is it?", "--format", "jsonl"))
    assert line["record"]["_gpt"]["result"] == "It is\nan invoice."
    assert line["record"]["_ocr"]["full_text"] == "what stands there"


@pytest.mark.usefixtures("service")
def test_an_answer_of_nothing_is_an_empty_line(cli: CLI, model: Model) -> None:
    """Where the language model says nothing, what was read is not shown for its answer."""
    model.answers = [""]
    assert cli("read", "a.jpg", "--prompt", "What is it?").out == "\n"


@pytest.mark.parametrize(
    "words, message",
    [
        (["--prompt", " "], "--prompt is blank"),
        (["--prompt", "x" * 5000], "--prompt is about 1,250 tokens, the limit is 1,000"),
        (["--prompt", "what?", "--local"], "--local has no language model to ask"),
    ],
)
def test_a_prompt_that_cannot_be_asked_is_told(
    cli: CLI, service: Service, words: list[str], message: str
) -> None:
    """It exits with 2, before anything is sent or the old output is emptied."""
    Path("out").write_text("old results")
    ran = cli("read", "a.jpg", "--output", "out", *words)
    assert (ran.code, ran.out, service.billed) == (2, "", 0)
    assert message in ran.err
    assert Path("out").read_text() == "old results"


# --- Classes


@pytest.mark.usefixtures("service")
def test_a_class_of_a_module_here_is_filled_in(cli: CLI) -> None:
    """The line has place, image and verdict, and the value as JSON from which no digit is lost."""
    ran = cli("extract", "a.jpg", "--schema", "invoices:Invoice")
    assert (ran.code, ran.err.partition(",")[0]) == (0, "1 filled in")
    assert only(ran) == {
        "index": 0,
        "image": "a.jpg",
        "ok": True,
        "attempts": 1,
        "maybe_billed": False,
        # What the class has made of the tags is no list, but becomes one.
        "value": {**GOOD, "tags": [0, 1]},
    }


@pytest.mark.usefixtures("service")
def test_fields_are_a_class_too(cli: CLI, model: Model) -> None:
    """The model is asked for the fields that were named, and for nothing else."""
    model.answers = ['{"total": 12.50, "due": "2026-12-01", "more": 1}']
    fields = "total:Decimal, due : date ?,tags: list[ str ]?"
    line = only(cli("extract", "a.jpg", "--fields", fields))
    assert line["value"] == {"total": "12.50", "due": "2026-12-01", "tags": None}
    assert '"due": "YYYY-MM-DD" | null,\n"tags": Array<string> | null,\n}' in model.asked[0]


@pytest.mark.usefixtures("service")
def test_values_can_be_had_as_text(cli: CLI) -> None:
    """As text, each value stands under the name of its image, field by field."""
    ran = cli("extract", "a.jpg", "b.jpg", "--schema", "invoices:Line", "--format", "text")
    assert ran.code == 1  # for what is answered is an invoice
    ran = cli("extract", "a.jpg", "--fields", "due: date", "--format", "text")
    assert ran.out == '{\n  "due": "2026-12-01"\n}\n'
    ran = cli("extract", "*.jpg", "--fields", "due: date", "--format", "text")
    assert sorted(ran.out.split("\n\n"))[1] == '==> a.jpg <==\n{\n  "due": "2026-12-01"\n}'


@pytest.mark.usefixtures("service")
def test_output_goes_to_a_file(cli: CLI) -> None:
    """With an output file nothing is on standard output; quietly, nothing on the other either."""
    ran = cli("extract", "a.jpg", "--fields", "due: date", "--output", "out", "--quiet")
    assert ran == Ran(0, "", "")
    assert json.loads(Path("out").read_bytes())["value"] == {"due": "2026-12-01"}


@pytest.mark.usefixtures("service")
def test_an_answer_that_does_not_fit_is_told_with_its_faults(cli: CLI, model: Model) -> None:
    """The line has the faults and all that the model wrote, the exit code is 1."""
    model.answers = ['Well: {"due": "soon"}', {"due": "2026-12-01"}]
    ran = cli("extract", "a.jpg", "b.jpg", "--fields", "due: date", "--concurrency", "1")
    [error] = [line["error"] for line in ran.lines if not line["ok"]]
    assert (ran.code, len(ran.lines)) == (1, 2)
    assert error["type"] == "ExtractionError"
    assert error["faults"] == ["$.due: expected a date such as 2026-08-31, got 'soon'"]
    assert error["answer"] == 'Well: {"due": "soon"}'
    assert ".jpg: the completion does not fit Fields: $.due: expected a date" in ran.err


@pytest.mark.usefixtures("service")
def test_an_image_that_is_none_is_an_error_without_faults(cli: CLI) -> None:
    """What was never asked has no answer to show."""
    Path("c.jpg").write_text("no image")
    line = only(cli("extract", "c.jpg", "--fields", "due: date"))
    assert line["attempts"] == 0
    told = {"type": "ImageError", "message": "c.jpg is not an image", "retryable": False}
    assert line["error"] == told


def test_an_image_is_asked_about_again(cli: CLI, model: Model, service: Service) -> None:
    """The options go to the model: instructions, how often to ask again, and the language."""
    model.answers = ["?", "?", GOOD]
    words = ["--instructions", "Sums are in yen.", "--max-reasks", "2", "--lang", "ja"]
    line = only(cli("extract", "a.jpg", "--schema", "invoices:Invoice", *words))
    assert (line["ok"], line["attempts"], service.billed) == (True, 3, 3)
    assert all("Sums are in yen." in prompt for prompt in model.asked)


def test_the_spend_cap_holds(cli: CLI, model: Model, service: Service) -> None:
    """What would go over --max-records is not asked."""
    model.answers = ["?"]
    words = ["--max-reasks", "5", "--max-records", "2"]
    ran = cli("extract", "a.jpg", "--fields", "due: date", *words)
    assert (ran.code, service.billed) == (1, 2)


# --- Wrong usage

NO_CLASS = "give either --schema or --fields"


@pytest.mark.parametrize(
    "words, message",
    [
        ([], NO_CLASS),
        (["--schema", "invoices:Invoice", "--fields", "due: date"], NO_CLASS),
        (["--schema", "invoices"], "--schema is 'invoices', expected module:Class"),
        (["--schema", ":Invoice"], "--schema is ':Invoice', expected module:Class"),
        (["--schema", "nowhere:Invoice"], "cannot be loaded: ModuleNotFoundError: No module named"),
        (["--schema", "..:Invoice"], "--schema ..:Invoice cannot be loaded: "),
        (["--schema", "invoices:Bill"], "cannot be loaded: AttributeError: module 'invoices' has"),
        (["--schema", "broken:Bill"], "cannot be loaded: ZeroDivisionError: one line and another"),
        (
            ["--schema", "invoices:Invoice.Inner"],
            "Inner is not an attrs class, dataclass or TypedDict",
        ),
        (["--schema", "invoices:bottom"], "int is not an attrs class, dataclass or TypedDict"),
        (["--fields", "due: date", "--max-reasks", "-1"], "max_reasks is -1, "),
        (["--fields", "due: date", "--instructions", "x" * 4000], "prompt for Fields is about 1,0"),
        (["--fields", "due: date", "--lang", "xx"], "lang is 'xx', allowed are "),
        (["--fields", ""], "--fields: '' is not a field, expected name:type"),
        (["--fields", "due"], "--fields: 'due' is not a field, expected name:type"),
        (
            ["--fields", "due: date, total:"],
            "--fields: 'total:' is not a field, expected name:type",
        ),
        (["--fields", "due: date,"], "--fields: '' is not a field, expected name:type"),
        (
            ["--fields", "2nd: date"],
            "--fields: '2nd' is not a name, expected letters, digits and _",
        ),
        (["--fields", "a: int, a: str"], "--fields: the field a is given twice"),
        (["--fields", "x: Any"], "--fields: x is 'Any', allowed are str, int, float, Decimal, bo"),
        (["--fields", "x: list[int"], "--fields: x is 'list[int', allowed are "),
        (["--fields", "x: list[]"], "--fields: x is '', allowed are "),
        (["--fields", "x: __import__('os')"], "--fields: x is \"__import__('os')\", allowed are "),
    ],
)
def test_a_class_that_cannot_be_asked_for_is_told(
    cli: CLI, service: Service, words: list[str], message: str
) -> None:
    """It exits with 2 and one line, before anything is sent or the old output is emptied."""
    Path("broken.py").write_text('raise ZeroDivisionError("one line\\nand another")\n')
    Path("out").write_text("old results")
    ran = cli("extract", "a.jpg", "--output", "out", *words)
    assert (ran.code, ran.out, service.billed) == (2, "", 0)
    assert message in ran.err
    assert ran.err.count("\n") == 1
    assert Path("out").read_text() == "old results"


@pytest.mark.usefixtures("service")
def test_there_is_no_language_model_in_the_package(cli: CLI) -> None:
    """The option of `read` that needs none is unknown here."""
    ran = cli("extract", "a.jpg", "--fields", "due: date", "--local")
    assert (ran.code, ran.out) == (2, "")
    assert "--local" in ran.err


def test_without_a_token_nothing_is_asked(cli: CLI) -> None:
    """Without a token the exit code is 2, and the message says where to get one."""
    ran = cli("extract", "a.jpg", "--fields", "due: date")
    assert (ran.code, ran.out) == (2, "")
    assert "XIMILAR_API_TOKEN" in ran.err


def test_help_explains_the_options(cli: CLI) -> None:
    """Help names each option, what it costs, and how to do without an account."""
    ran = cli("extract", "--help")
    wanted = "--schema --fields --instructions --max-reasks --lang --concurrency --max-records"
    for word in (
        *wanted.split(),
        "--output",
        "--format",
        "--quiet",
        "15 credits",
        "ximilar-ocr serve",
    ):
        assert word in ran.out
    assert "--local" not in ran.out


# --- Fields


@pytest.mark.parametrize(
    "fields, types",
    [
        ("a: str", {"a": str}),
        ("a:int,b:float", {"a": int, "b": float}),
        ("\n a :\tDecimal ,\n b: bool\n", {"a": Decimal, "b": bool}),
        ("date: date, datetime: datetime", {"date": date, "datetime": datetime}),
        ("class: time?, self: str", {"class": time | None, "self": str}),
        ("a: list[int]", {"a": list[int]}),
        ("a: list[int?]?", {"a": list[int | None] | None}),
        ("a: list[list[str]]", {"a": list[list[str]]}),
    ],
)
def test_fields_are_named_with_their_types(fields: str, types: Any) -> None:
    """Blanks do not matter, and a name may be any word."""
    assert get_type_hints(make_class(fields)) == types


@pytest.mark.parametrize(
    "choose", [lambda: choose_class(None, None), lambda: choose_class("a:B", "a: str")]
)
def test_one_class_is_asked_for(choose: Callable[[], Any]) -> None:
    """Neither and both are refused."""
    with pytest.raises(OptionError, match=NO_CLASS):
        choose()


# --- In a process of its own


@pytest.mark.usefixtures("service")
def test_a_program_of_its_own_finds_the_module_here() -> None:
    """The command, installed elsewhere, finds a module in the folder that it is run in."""
    Path("c.jpg").write_bytes(JPEG)
    # Not this folder, as for a command that is installed.
    env = {**os.environ, "PYTHONSAFEPATH": "1"}
    with start("extract", "c.jpg", "--schema=invoices:Invoice", env=env) as process:
        out, err = process.communicate()
    assert (process.returncode, json.loads(out)["ok"]) == (0, True), err


HOSTILE = ["httpx", "h11", "json", "typing", "anyio", "attrs", "cattrs", "tenacity", "ssl", "uuid"]
"""Modules that the program has or loads."""

MISSING = ["h2", "socksio", "brotli", "brotlicffi", "zstandard", "sniffio", "exceptiongroup"]
"""Modules that the program, or a library that it loads, takes if they are there."""


@pytest.mark.usefixtures("service")
def test_nothing_else_here_is_run() -> None:
    """Files beside the schema that are called like libraries are run neither then nor later."""
    for name in [*HOSTILE, *MISSING]:
        Path(f"{name}.py").write_text(f"open('ran-{name}', 'w')")
    env = {**os.environ, "PYTHONSAFEPATH": "1"}
    with start("extract", "a.jpg", "--schema=invoices:Invoice", env=env) as process:
        out, err = process.communicate()
    assert [path.name for path in Path().glob("ran-*")] == []
    assert (process.returncode, json.loads(out)["ok"]) == (0, True), err


def test_the_path_is_as_before(cli: CLI, monkeypatch: pytest.MonkeyPatch) -> None:
    """This folder is looked in last, while the module is loaded and no longer."""
    before, here = [*sys.path], str(Path.cwd())
    Path("looks.py").write_text("import sys; path = [*sys.path]")
    Path("adds.py").write_text(f"import sys; sys.path = [*sys.path, {here!r}]")
    for module in ("looks", "adds"):
        # So that the module is forgotten afterwards.
        monkeypatch.setitem(sys.modules, module, ModuleType(module))
        del sys.modules[module]
    for schema in ("invoices:Bill", "nowhere:Bill", "looks:Bill"):
        assert cli("extract", "a.jpg", "--schema", schema).code == 2
        assert sys.path == before
    assert sys.modules["looks"].path == [*before, here]
    # What the module itself adds is none of ours.
    assert cli("extract", "a.jpg", "--schema", "adds:Bill").code == 2
    assert sys.path == [*before, here]


@pytest.mark.parametrize("name", ["read", "extract"])
def test_a_command_loads_no_other(name: str) -> None:
    """Neither the server nor an engine is loaded for what is asked elsewhere."""
    code = f"import sys, ximilar_ocr_async.cli.{name}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"starlette", "numpy", "ximilar_ocr_async.cli.serve"} & {*done.stdout.split()}


def test_an_output_stays_as_it_is_until_there_is_an_outcome(
    cli: CLI, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Words that name no images cost nothing of what was written before."""
    monkeypatch.setenv("XIMILAR_API_TOKEN", "abc")
    Path("out").write_text("precious")
    ran = cli("extract", "nothing*.png", "--fields", "a: str", "--output", "out")
    assert ran.code == 2
    assert Path("out").read_text() == "precious"


def test_a_module_that_exits_is_told_of(cli: CLI) -> None:
    """It is no class, and no success."""
    Path("leaves.py").write_text("import sys; sys.exit(0)")
    ran = cli("extract", "a.jpg", "--schema", "leaves:Class")
    assert (ran.code, "SystemExit: 0" in ran.err) == (2, True)


def test_lists_in_lists_have_an_end(cli: CLI) -> None:
    """A field that is too deep is named."""
    ran = cli("extract", "a.jpg", "--fields", f"deep: {'list[' * 3000}int{']' * 3000}")
    assert (ran.code, "deep has too many nested lists" in ran.err) == (2, True)


@pytest.mark.parametrize(
    "fields",
    [
        f"a: x{' ' * 10_000_000}y",
        f"a: list[{' ' * 10_000_000}]",
        f"a: int{' ?' * 5_000_000}",
        f"a: {'list[' * 2_000_000}",
        f"a:{':' * 10_000_000}",
        f"a:{'b|' * 5_000_000}",
        f"a:{'[' * 10_000_000}",
        f"a: list[{'?' * 10_000_000}]",
        f"{'a:int?,' * 1_000_000}",
        "," * 10_000_000,
        f"{'a' * 10_000_000} b: int",
    ],
    ids=lambda fields: fields[:12],
)
def test_fields_are_read_in_no_time(fields: str) -> None:
    """Ten million characters are refused at once, where squares of them would take hours."""
    with pytest.raises(OptionError) as caught:
        make_class(fields)
    assert len(str(caught.value)) < 700


@given(fields=st.text("a:,?[] \n") | st.text())
def test_any_text_is_fields_or_none(fields: str) -> None:
    """Whatever the text, it is a class or an error of one line."""
    try:
        assert get_type_hints(make_class(fields))
    except OptionError as error:
        assert str(error).isprintable()  # noqa: PT017 - some texts are fields
