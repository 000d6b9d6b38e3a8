"""What most commands share: options, settings, the platform's address and the operator's token."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from poolmaker import app
from poolmaker.cli.client import Client
from poolmaker.kernel.checks import require
from poolmaker.kernel.errors import EnvironmentProblem

DEMO_CONFIG: Final = "demo.toml"
_KEY: Final = re.compile(r"[!-~]{8,100}")
_TOKEN: Final = re.compile(r"[!-~]{16,200}")
_TOKEN_BYTES_MAX: Final = 1_000
HOME_NAME: Final = "POOLMAKER_HOME"
DEFAULT_HOME: Final = Path(".poolmaker")
DEFAULT_CONFIG: Final = Path("poolmaker.toml")

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
Config = Annotated[
    Path | None,
    typer.Option("--config", help="Configuration file; default: POOLMAKER_CONFIG, poolmaker.toml."),
]
Home = Annotated[
    Path | None, typer.Option("--home", help="Data folder; default: POOLMAKER_HOME, .poolmaker.")
]

Key = Annotated[
    str | None,
    typer.Option("--key", help="Idempotency key; give the same one to repeat a request safely."),
]


def key_of(key: str | None) -> str:
    """The key that was given, or a new one."""
    if key is not None:
        require(_KEY.fullmatch(key), "--key: expected 8 to 100 printable ASCII characters")
        return key
    rng = app.load("kernel.rng").system_rng()
    return f"cli-{rng.bits(128):032x}"


def home_of(home: Path | None) -> Path:
    """The data folder that is meant, before any configuration is read."""
    return home or Path(os.environ.get(HOME_NAME) or DEFAULT_HOME)


def settings_of(config: Path | None, home: Path | None = None) -> Any:
    """The settings. Where nobody names a file, those of the demo in the data folder count."""
    environ = dict(os.environ)
    if home is not None:
        environ[HOME_NAME] = str(home)
    demo = home_of(home) / DEMO_CONFIG
    nothing = not environ.get("POOLMAKER_CONFIG") and not DEFAULT_CONFIG.is_file()
    if config is None and nothing and demo.is_file():
        config = demo
    return app.load("infra.settings").load(config, environ)


def client_of(config: Path | None, home: Path | None = None) -> Client:
    """A client of the running platform, as the operator."""
    settings = settings_of(config, home)
    file = settings.tokens.operator_token_file or settings.home / "operator.token"
    try:
        with file.open("rb") as opened:
            token = opened.read(_TOKEN_BYTES_MAX).decode("utf-8", "replace").strip()
    except FileNotFoundError:
        raise EnvironmentProblem(
            f"there is no operator token at {file}; start the platform first (poolmaker up or "
            "poolmaker demo), or name its folder with --home"
        ) from None
    except OSError as error:
        raise EnvironmentProblem(
            f"the operator token {file} cannot be read ({error.strerror}); run this command as "
            "the user who runs the platform"
        ) from None
    if _TOKEN.fullmatch(token) is None:
        raise EnvironmentProblem(
            f"what is in {file} is no token; let the platform write one: poolmaker token rotate "
            "file-operator"
        )
    return Client(settings.web.host, settings.web.port, token)
