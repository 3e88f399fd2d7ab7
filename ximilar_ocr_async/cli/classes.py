"""Classes to fill in: the options --schema and --fields in, a class out."""

import importlib
import sys
from collections.abc import Generator
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from operator import attrgetter
from pathlib import Path
from typing import Any, TypedDict

from ximilar_ocr_async.errors import OptionError, shown

_TYPES = {kind.__name__: kind for kind in (str, int, float, Decimal, bool, date, datetime, time)}

MAX_NESTING = 20
"""How many lists and question marks a type may have around another."""

ALLOWED = f"{', '.join(_TYPES)}, list[X], and X? for a value that may be missing"


def choose_class(schema: str | None, fields: str | None) -> type[Any]:
    """Return the class that *schema* names, or a class with these *fields*.

    Args:
        schema: Name of a class as ``module:Class``.
        fields: Names and types of fields, as `make_class` takes them.

    Raises:
        OptionError: The class cannot be loaded or made, or not exactly one of the two is given.
    """
    if schema is not None and fields is None:
        return _find_class(schema)
    if fields is not None and schema is None:
        return make_class(fields)
    raise OptionError("give either --schema or --fields, which say what to fill in")


def _find_class(schema: str) -> type[Any]:
    module, _, name = schema.partition(":")
    if not module or not name:
        raise OptionError(f"--schema is {schema!r}, expected module:Class")
    try:
        with _current_folder_last():
            loaded = importlib.import_module(module)
        found: type[Any] = attrgetter(name)(loaded)
    except (Exception, SystemExit) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise OptionError(f"--schema {schema} cannot be loaded: {reason}") from error
    return found


@contextmanager
def _current_folder_last() -> Generator[None]:
    """Let Python find modules in the current folder, after all others, while the block is run.

    The folder may hold files of others among the images. A file called like a library must not take
    its place, in a program that has the token.
    """
    here = str(Path.cwd())
    sys.path.append(here)
    try:
        yield
    finally:
        # The user may have an entry of the same name, which stays.
        sys.path[:] = [entry for entry in sys.path if entry is not here]


def make_class(fields: str) -> type[Any]:
    """Make a TypedDict of *fields*, such as ``total: Decimal, due: date?``.

    Raises:
        OptionError: A field is invalid. The message names it.
    """
    types: dict[str, Any] = {}
    for field in fields.split(","):
        name, _, kind = (part.strip() for part in field.partition(":"))
        if not name or not kind:
            told = shown(repr(field.strip()))
            raise OptionError(f"--fields: {told} is not a field, expected name:type")
        if not name.isidentifier():
            told = shown(repr(name))
            raise OptionError(f"--fields: {told} is not a name, expected letters, digits and _")
        if name in types:
            raise OptionError(f"--fields: the field {shown(name)} is given twice")
        types[name] = _type_of(kind, shown(name))
    # A TypedDict, because making an attrs class or dataclass would execute code with these names.
    cls: type[Any] = TypedDict("Fields", types)  # type: ignore[misc]
    return cls


def _type_of(kind: str, name: str, depth: int = 0) -> Any:
    """Return the type that *kind* stands for, at a *depth* in lists of others."""
    if depth > MAX_NESTING:
        raise OptionError(f"--fields: {name} has too many nested lists")
    if kind.endswith("?"):
        return _type_of(kind[:-1].rstrip(), name, depth + 1) | None
    opening, bracket, items = kind.partition("[")
    if opening.rstrip() == "list" and bracket and items.endswith("]"):
        return list[_type_of(items[:-1].strip(), name, depth + 1)]  # type: ignore[misc]
    if kind not in _TYPES:
        raise OptionError(f"--fields: {name} is {shown(repr(kind))}, allowed are {ALLOWED}")
    return _TYPES[kind]
