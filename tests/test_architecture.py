"""The folder listing is the architecture, and it stays so."""

import ast
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import ximilar_ocr_async
from ximilar_ocr_async import emulator, testing

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "ximilar_ocr_async"
NAME = PACKAGE.name

FLOORS = [
    {"_constants"},
    {"errors", "events"},
    {"_validation", "_concurrency", "models"},
    {"images", "retry"},
    {"outcomes"},
    {"_http"},
    {"_protocol"},
    {"_scheduling", "_extraction", "export"},
    {"_jobs"},
    {"_session"},
    {""},
    {"testing", "integrations"},
    {"emulator"},
    {"cli"},
]
"""The places at the top of the package, from the lowest; "" is the front door."""

MOST_PLACES = 21

PUBLIC_ROOMS = {"testing.service"}
"""Rooms inside others that have a door to the outside, too."""

OWNERS = {
    "attrs": None,
    "anyio": None,
    "typing_extensions": {"outcomes"},
    "msgspec": {"_protocol.fast_decode", "_protocol.fast_parts", "_protocol.json_values"},
    "pybase64": {"_protocol.request_body"},
    "cattrs": {"_extraction.structuring"},
    "tenacity": {"retry"},
    "h11": {"_http.http1"},
    "httpx": {"_http.transport", "emulator.egress", "testing.in_process", "testing.scripting"},
    "PIL": {"emulator.images"},
    "numpy": {"emulator.images", "emulator.engines.rapid"},
    "rapidocr": {"emulator.engines.rapid"},
    "starlette": {"emulator.asgi", "_jobs.receiver", "integrations.starlette"},
    "litestar": {"integrations.litestar"},
    "uvicorn": {"emulator.server"},
    "cyclopts": {"cli", "cli.run", "cli.serve", "cli.submit", "cli.headers", "cli.connection"},
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


def floor(dotted: str) -> int:
    """Return how high a module of the package stands."""
    first = dotted.split(".", maxsplit=1)[0]
    return next(height for height, names in enumerate(FLOORS) if first in names)


def arrows() -> Iterator[tuple[str, str]]:
    """Yield (from, to) for each import of a module of the package by another."""
    for dotted, tree in modules():
        for name in imports(tree):
            if name.split(".")[0] == NAME:
                yield dotted, name.removeprefix(NAME).lstrip(".")


def rooms_of(dotted: str) -> Iterator[str]:
    """Yield the folders that a module lies in, from the outermost."""
    parts = dotted.split(".")
    for size in range(1, len(parts) + 1):
        room = ".".join(parts[:size])
        if (PACKAGE / room.replace(".", "/")).is_dir():
            yield room


def test_arrows_run_down() -> None:
    """A module imports from lower floors, or from its own room."""
    for dotted, other in arrows():
        same = other.split(".")[0] == dotted.split(".")[0]
        assert same or floor(other) < floor(dotted), f"{dotted} imports {other}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Within a room, too, what is imported never imports what imports it."""
    below: dict[str, set[str]] = {}
    for dotted, other in arrows():
        if dotted not in rooms_of(other):
            below.setdefault(dotted, set()).add(other)

    def reach(start: str) -> set[str]:
        seen, ahead = set[str](), list(below.get(start, ()))
        while ahead:
            module = ahead.pop()
            if module not in seen:
                seen.add(module)
                ahead += below.get(module, ())
        return seen

    assert [module for module in below if module in reach(module)] == []


def test_rooms_are_entered_by_their_door() -> None:
    """From outside a room, its `__init__` is imported and no module behind it."""
    for dotted, other in arrows():
        for room in rooms_of(other):
            # A door sees into the rooms behind it.
            is_inside = room in rooms_of(dotted) or dotted in rooms_of(room)
            is_door = other == room or other in PUBLIC_ROOMS
            assert is_inside or is_door, f"{dotted} enters {room} by the window: {other}"


def test_what_a_door_gives_is_used() -> None:
    """Every name of a door is imported from outside its room; so none is left over."""
    used: dict[str, set[str]] = {}
    for _, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                names = {alias.name for alias in node.names}
                used.setdefault(node.module.removeprefix(NAME).lstrip("."), set()).update(names)
    for room in ("_http", "_protocol", "_scheduling", "_extraction", "_jobs", "_session"):
        door = importlib.import_module(f"{NAME}.{room}")
        assert door.__doc__
        assert set(door.__all__) - used[room] - set(ximilar_ocr_async.__all__) == set(), room


def test_the_house_has_few_places() -> None:
    """The listing at the top is read at a glance."""
    names = {path.stem for path in PACKAGE.iterdir() if path.stem != "__pycache__"}
    assert names - {"__init__", "py"} == set().union(*FLOORS) - {""}
    assert len(set().union(*FLOORS)) <= MOST_PLACES


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
        assert max((getattr(n, "end_lineno", 0) or 0) for n in ast.walk(tree)) <= 350, dotted


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
    rare = {"_jobs", "_extraction", "_http.client"}
    assert not {f"{NAME}.{module}" for module in rare} & loaded
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
    late = {"_session", "_jobs", "_scheduling", "_protocol", "_http.client"}
    assert not {f"{NAME}.{module}" for module in late} & loaded
    assert not {"httpx", "h11", "cattrs", "tenacity"} & loaded
    assert f"{NAME}.errors" in loaded


def test_help_loads_no_session() -> None:
    """The command line says what it can do without loading what does it."""
    loaded = loaded_by(
        "import atexit, sys; from ximilar_ocr_async.cli import main; sys.argv[1:] = ['--help'];"
        "atexit.register(lambda: print(*sys.modules, file=sys.stderr)); main()"
    )
    assert not {f"{NAME}._session", "httpx", "h11"} & loaded
    assert "cyclopts" in loaded


def test_what_is_loaded_late_is_there_all_the_same() -> None:
    """Every public name is an attribute and is listed; what is none is an error as ever."""
    assert set(ximilar_ocr_async.__all__) <= set(dir(ximilar_ocr_async))
    assert ximilar_ocr_async.OCRSession is ximilar_ocr_async.__getattr__("OCRSession")
    for module in (ximilar_ocr_async, emulator):
        with pytest.raises(AttributeError, match="has no attribute 'OCRSesion'"):
            module.__getattr__("OCRSesion")


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
