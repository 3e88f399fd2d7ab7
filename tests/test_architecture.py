"""The folder listing is the architecture, and it stays so."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import ximilar_ocr_async
from ximilar_ocr_async import testing

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "ximilar_ocr_async"
NAME = PACKAGE.name

LAYERS = [
    {"errors"},
    {"limits", "auth", "place"},
    {"images", "models", "schema"},
    {"fastpath"},
    {"outcomes", "structuring", "submission", "failures", "upload", "converter"},
    {"wire", "retry", "body", "trace", "answers", "export"},
    {"http1", "extraction", "asynchronous"},
    {"questions"},
    {"connections"},
    {"transport"},
    {"exchange", "options"},
    {"calls", "limit", "pace", "outage", "budget", "turns", "stats", "polling"},
    {"ledger", "traffic"},
    {"scheduler", "webhooks"},
    {"stream", "errands"},
    {"account", "jobs"},
    {"running"},
    {"session"},
    {""},
    {"emulator"},
    {"testing"},
    {"cli"},
]
"""From the lowest; "" is what the package itself exports."""

OWNERS = {
    "attrs": None,
    "anyio": None,
    "typing_extensions": {"outcomes"},
    "msgspec": {"fastpath"},
    "pybase64": {"upload"},
    "cattrs": {"converter", "wire", "structuring"},
    "tenacity": {"retry"},
    "h11": {"http1"},
    "httpx": {"connections", "emulator.outside", "testing.in_process"},
    "PIL": {"emulator.pictures"},
    "numpy": {"emulator.pictures", "emulator.engines.rapid"},
    "rapidocr": {"emulator.engines.rapid"},
    "starlette": {"emulator.asgi", "webhooks"},
    "uvicorn": {"emulator.server"},
    "cyclopts": {"cli", "cli.run", "cli.jobs"},
    "rich": {"cli.printer"},
    "pytest": {"testing.fixtures"},
    "trio": {"testing.clock"},
}
"""Who may import a library of others; None is everybody."""


def modules() -> Iterator[tuple[str, ast.Module]]:
    """Yield each module of the package by its dotted name below it."""
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        dotted = ".".join(part for part in parts if part != "__init__")
        yield dotted, ast.parse(path.read_text(encoding="utf-8"))


def imports(tree: ast.Module) -> Iterator[str]:
    """Yield the dotted name of everything imported anywhere in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield str(node.module)


def layer(dotted: str) -> int:
    """Return how high a module of the package stands."""
    first = dotted.split(".", maxsplit=1)[0]
    return next(height for height, names in enumerate(LAYERS) if first in names)


def test_lower_layers_never_import_higher_ones() -> None:
    """A module imports from below, or from its own subpackage."""
    for dotted, tree in modules():
        for name in imports(tree):
            if name.split(".")[0] == NAME:
                other = name.removeprefix(NAME).lstrip(".")
                same = other.split(".")[0] == dotted.split(".")[0]
                assert same or layer(other) < layer(dotted), f"{dotted} imports {other}"


def test_each_library_has_its_owner() -> None:
    """A library of others is imported by the module that owns it, so that it can be exchanged."""
    for dotted, tree in modules():
        for name in imports(tree):
            library = name.split(".")[0]
            if library in sys.stdlib_module_names or library == NAME:
                continue
            owners = OWNERS[library]
            assert owners is None or dotted in owners, f"{dotted} imports {library}"


def test_no_module_is_bound_to_asyncio() -> None:
    """The package runs on any backend of anyio; only virtual time knows how each one's is made."""
    for dotted, tree in modules():
        is_bound = "asyncio" in {name.split(".")[0] for name in imports(tree)}
        assert not is_bound or dotted == "testing.clock", dotted


def test_modules_and_functions_stay_short() -> None:
    """No module is over 400 lines, no function over 60 with its docstring."""
    for dotted, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert (node.end_lineno or 0) - node.lineno < 60, f"{dotted}.{node.name}"
        assert max((getattr(n, "end_lineno", 0) or 0) for n in ast.walk(tree)) <= 400, dotted


@pytest.mark.parametrize("module", [ximilar_ocr_async, testing], ids=lambda m: m.__name__)
def test_everything_exported_exists_and_is_sorted_out(module: ModuleType) -> None:
    """`__all__` names what the package has, once each, and nothing private."""
    names = module.__all__
    assert len(set(names)) == len(names)
    assert all(getattr(module, name) for name in names)
    assert not any(name.startswith("_") for name in names)


@pytest.mark.parametrize("name", [NAME, testing.__name__])
def test_importing_the_package_loads_no_extra(name: str) -> None:
    """Neither sessions nor tests of them need the command line's libraries or the server's."""
    extras = ["PIL", "cv2", "cyclopts", "numpy", "onnxruntime", "rapidocr", "rich", "starlette"]
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({extras!r})); import {name};"
        "print(bool({'trio', 'uvicorn', 'pytest'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def loaded_by(code: str) -> set[str]:
    """Return the modules that a fresh interpreter has loaded, which *code* prints to stderr."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stderr.split())


def test_a_session_loads_nothing_but_what_it_needs() -> None:
    """Neither jobs, webhooks and typed answers are loaded with it, nor what failures need."""
    loaded = loaded_by(
        "import sys; from ximilar_ocr_async import OCRSession;print(*sys.modules, file=sys.stderr)"
    )
    rare = {"jobs", "polling", "webhooks", "extraction", "schema", "structuring", "export"}
    assert not {f"{NAME}.{module}" for module in rare | {"converter"}} & loaded
    assert not {"cattrs", "tenacity"} & loaded


@pytest.mark.parametrize("client, needs_it", [("", True), (", http_client=Client()", False)])
def test_httpx_is_loaded_by_a_session_that_is_given_no_client(client: str, needs_it: bool) -> None:
    """A program that sends with another library does not pay for it."""
    loaded = loaded_by(
        f"""
import sys, anyio
from ximilar_ocr_async import OCRSession
assert "httpx" not in sys.modules
class Client:
    build_request = send = aclose = None
async def main():
    async with OCRSession("token"{client}):
        print(*sys.modules, file=sys.stderr)
anyio.run(main)
"""
    )
    assert {"httpx", "h11"} & loaded == ({"httpx", "h11"} if needs_it else set())


def test_the_package_alone_loads_no_session() -> None:
    """What a program catches and hands over is there without what makes requests."""
    loaded = loaded_by(f"import sys, {NAME}; print(*sys.modules, file=sys.stderr)")
    late = {"session", "running", "jobs", "webhooks", "account", "connections", "converter"}
    assert not {f"{NAME}.{module}" for module in late} & loaded
    assert not {"httpx", "h11", "cattrs", "tenacity"} & loaded
    assert f"{NAME}.errors" in loaded


def test_help_loads_no_session() -> None:
    """The command line says what it can do without loading what does it."""
    loaded = loaded_by(
        "import atexit, sys; from ximilar_ocr_async.cli import main; sys.argv[1:] = ['--help'];"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr)); main()"
    )
    assert not {f"{NAME}.session", f"{NAME}.running", "httpx", "h11"} & loaded
    assert "cyclopts" in loaded


def test_what_is_loaded_late_is_there_all_the_same() -> None:
    """Every public name is an attribute and is listed; what is none is an error as ever."""
    assert set(ximilar_ocr_async.__all__) <= set(dir(ximilar_ocr_async))
    assert ximilar_ocr_async.OCRSession is ximilar_ocr_async.__getattr__("OCRSession")
    with pytest.raises(AttributeError, match="has no attribute 'OCRSesion'"):
        ximilar_ocr_async.__getattr__("OCRSesion")


@pytest.mark.parametrize("name", ximilar_ocr_async.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    """`from ximilar_ocr_async import` gives each name the same object as its attribute is."""
    found: dict[str, object] = {}
    exec(f"from {NAME} import {name}", found)  # noqa: S102 - the statement itself is tested
    assert found[name] is getattr(ximilar_ocr_async, name)


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=lambda p: p.name)
def test_every_test_says_its_behaviour(path: Path) -> None:
    """Each test has a docstring that ends as a sentence does."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[:5] == "test_":
            said = ast.get_docstring(node) or ""
            assert said.endswith("."), f"{path.name}: {node.name}"
