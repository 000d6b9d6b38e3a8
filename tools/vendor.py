"""Fetches the browser libraries that ship inside the wheel, and writes ``vendor.toml`` beside them.

``python -m tools.vendor`` asks npm for the pinned packages below and keeps the named files only;
a test compares every file with the hash in ``vendor.toml``, so nothing changes unseen.
"""

from __future__ import annotations

import hashlib
import io
import shutil
import subprocess
import tarfile
import tempfile
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "src/poolmaker/web/static/vendor"


@dataclass(frozen=True)
class Package:
    """A pinned package and what of it is shipped."""

    name: str
    version: str
    licence: str
    files: tuple[str, ...]


PACKAGES = (
    Package(
        "uplot",
        "1.6.32",
        "MIT",
        ("dist/uPlot.iife.min.js", "dist/uPlot.min.css", "LICENSE"),
    ),
)


def _pack(package: Package) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", "--ignore-scripts"]
        subprocess.run([*command, f"{package.name}@{package.version}"], cwd=folder, check=True)
        return next(Path(folder).glob("*.tgz")).read_bytes()


def _unpack(package: Package, archive: bytes) -> list[str]:
    target = FOLDER / package.name
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    rows = []
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        for name in package.files:
            member = packed.extractfile(f"package/{name}")
            if member is None:
                raise SystemExit(f"{package.name} has no file {name}")
            body = member.read()
            (target / Path(name).name).write_bytes(body)
            rows.append(f'"{Path(name).name}" = "{hashlib.sha256(body).hexdigest()}"')
    return rows


def _table(package: Package) -> str:
    archive = _pack(package)
    rows = "\n".join(_unpack(package, archive))
    return (
        f"[{package.name}]\n"
        f'version = "{package.version}"\n'
        f'source = "npm: {package.name}@{package.version}"\n'
        f'package_sha256 = "{hashlib.sha256(archive).hexdigest()}"\n'
        f'licence = "{package.licence}"\n\n'
        f"[{package.name}.files]\n{rows}\n"
    )


def main() -> None:
    """Fetch everything anew."""
    tables = "\n".join(_table(package) for package in PACKAGES)
    note = "# Written by `python -m tools.vendor`; a test compares the files with these hashes.\n\n"
    (FOLDER / "vendor.toml").write_text(note + tables, encoding="utf-8")


if __name__ == "__main__":
    main()
