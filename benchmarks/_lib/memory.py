"""Memory of this process, as Linux tells it."""

import gc
from pathlib import Path

PROCESS = Path("/proc/self")


def peak() -> float:
    """Return the peak of memory [MB].

    `getrusage` cannot be used: a child inherits its parent's peak there.
    """
    return _tell("VmHWM")


def resident() -> float:
    """Return the memory that is held after a collection of garbage [MB]."""
    gc.collect()
    return _tell("VmRSS")


def forget_peak() -> None:
    """Set the peak of memory back to what is held now."""
    gc.collect()
    (PROCESS / "clear_refs").write_text("5", encoding="ascii")


def _tell(name: str) -> float:
    lines = (PROCESS / "status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))
