"""Results of all benchmarks in one file, ``results.json``: each script replaces its own section.

A measure takes one line there. Samples are not kept, only medians.
"""

import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import asdict

from _lib.bars import Row, show

FOLDER = Path(__file__).parent.parent
NAME = "results.json"


def report(
    section: str, title: str, rows: Sequence[Row], *, folder: Path = FOLDER, **more: Any
) -> int:
    """Print *rows* and write them down.

    Args:
        section: Name of the section in the file.
        title: Title of the table that is printed.
        rows: The measures.
        folder: Where the file stands.
        more: What else the section holds, by name.

    Returns:
        The exit code: 0 if all bars are met, else 1.
    """
    show(title, rows)
    machine = {
        "cpus": os.cpu_count(),
        "python": platform.python_version(),
        "system": platform.system(),
    }
    found = {
        "date": datetime.now(tz=UTC).date().isoformat(),
        "machine": machine,
        "bars": [asdict(row) for row in rows],
    }
    write(read(folder) | {section: found | more}, folder)
    return 0 if all(row.met for row in rows) else 1


def read(folder: Path = FOLDER) -> dict[str, Any]:
    """Return all sections, or none if there is no file yet."""
    path = folder / NAME
    sections: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return sections


def write(sections: dict[str, Any], folder: Path) -> None:
    """Write all sections, in the order of their names."""
    folder.mkdir(exist_ok=True)
    text = _lay_out(dict(sorted(sections.items())), depth=3)
    (folder / NAME).write_text(text + "\n", encoding="utf-8")


def _lay_out(value: Any, *, depth: int, indent: str = "") -> str:
    """Return *value* as JSON that is broken into lines down to *depth*, and not below it."""
    deeper = indent + "  "
    if depth and isinstance(value, dict) and _is_nested(value.values()):
        items = [
            f"{json.dumps(name)}: {_lay_out(item, depth=depth - 1, indent=deeper)}"
            for name, item in value.items()
        ]
        return "{\n" + ",\n".join(deeper + item for item in items) + f"\n{indent}}}"
    if depth and isinstance(value, list) and _is_nested(value):
        items = [_lay_out(item, depth=depth - 1, indent=deeper) for item in value]
        return "[\n" + ",\n".join(deeper + item for item in items) + f"\n{indent}]"
    return json.dumps(_round(value), ensure_ascii=False)


def _is_nested(values: Any) -> bool:
    return any(isinstance(value, (dict, list)) for value in values)


def _round(value: Any) -> Any:
    """Return *value* with four digits of each number, which is more than any figure is worth."""
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {name: _round(item) for name, item in value.items()}
    return value
