"""The lowest versions that the package allows, against the advisories that are known of them.

    make floors

uv resolves the package with all its extras to the lowest versions of everything, dependencies of
dependencies too. It needs the network, and installs nothing.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from packaging.version import Version

ROOT = Path(__file__).parent.parent

PYTHON = "3.11"
"""The oldest Python that the package runs on, where the lowest versions are to be had."""

ADVISORIES = {
    "certifi": ("2024.7.4", "CVE-2024-39689"),
    "h11": ("0.16", "GHSA-vqfr-h8mv-ghfj"),
    "idna": ("3.15", "CVE-2026-45409"),
    "markdown-it-py": ("2.2.0", "CVE-2023-26303"),
    "mpmath": ("1.3.0", "CVE-2021-29063"),
    "opencv-python-headless": ("4.8.1.78", "CVE-2023-4863"),
    "pillow": ("12.2", "CVE-2026-42308"),
    "protobuf": ("6.33.5", "CVE-2026-0994"),
    "pygments": ("2.20", "CVE-2026-4539"),
    "pyyaml": ("5.4", "CVE-2020-14343"),
    "requests": ("2.33", "CVE-2026-25645"),
    "starlette": ("1.3.1", "CVE-2026-54283"),
    "tqdm": ("4.66.3", "CVE-2024-34062"),
    "urllib3": ("2.7", "CVE-2026-44432"),
}
"""The first version without the advisory, and the last advisory, by name. Known in 2026-11."""


def main() -> None:
    """Print a row for each advisory; exit with 1 if one of them is allowed."""
    versions = resolve()
    for name, (fixed, advisory) in ADVISORIES.items():
        lowest = versions.get(name, "not installed")
        print(f"{name:<24} {lowest:<15} fixed in {fixed:<10} {advisory}")
    found = allowed(versions)
    print(f"{len(versions)} packages, {len(found)} with an advisory that is known: {found}")
    sys.exit(1 if found else 0)


def resolve() -> dict[str, str]:
    """Return the lowest version of each package that is installed with all extras, by name."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "uv", "pip", "compile", "pyproject.toml", "--all-extras"),
            *("--resolution", "lowest", "--python-version", PYTHON, "--python", sys.executable),
            # Versions that are older than wheels cannot even say what they need.
            *("--no-build", "--no-header", "--no-annotate", "--quiet"),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return dict(line.split("==") for line in done.stdout.split())


def allowed(versions: Mapping[str, str]) -> list[str]:
    """Return the names among *versions* whose version has an advisory."""
    known = {name: ADVISORIES[name][0] for name in versions if name in ADVISORIES}
    return [name for name, fixed in known.items() if Version(versions[name]) < Version(fixed)]


if __name__ == "__main__":
    main()
