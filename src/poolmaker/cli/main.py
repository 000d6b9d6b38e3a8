"""The command ``poolmaker``."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from poolmaker import __version__
from poolmaker.cli import bench, books, operate, setup, worlds
from poolmaker.cli.client import ApiRefused
from poolmaker.cli.context import home_of
from poolmaker.cli.output import CHECK_FAILED, DONE, USAGE, complain
from poolmaker.kernel.errors import CallerFault, EnvironmentProblem, PoolmakerError

LOG_NAME = "last-error.log"

cli = typer.Typer(
    name="poolmaker",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="Pooled market making with a ledger that proves nothing is lost.",
)
cli.command("demo")(worlds.demo)
cli.command("up")(worlds.up)
cli.command("status")(operate.status)
cli.command("doctor")(setup.doctor)
cli.add_typer(setup.config_commands, name="config")
cli.add_typer(setup.database_commands, name="db")
cli.add_typer(operate.users, name="user")
cli.add_typer(operate.pools, name="pool")
cli.add_typer(operate.orders, name="order")
cli.add_typer(books.ledger, name="ledger")
cli.add_typer(worlds.sandbox, name="sandbox")
cli.add_typer(worlds.sim, name="sim")
cli.command("bench")(bench.bench)


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"poolmaker {__version__}\n")
        raise typer.Exit


@cli.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Pooled market making with a ledger that proves nothing is lost."""


def call(arguments: list[str] | None = None) -> int:
    """Run one command and answer its exit code."""
    try:
        cli(args=arguments, prog_name="poolmaker")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else DONE
    except ApiRefused as refusal:
        complain(str(refusal))
        return CHECK_FAILED
    except (EnvironmentProblem, CallerFault) as problem:
        complain(str(problem))
        return USAGE
    except PoolmakerError as error:
        complain(f"{error} ({error.code})")
        return CHECK_FAILED
    except BrokenPipeError:
        # The reader has gone; what Python would still flush has nowhere to go either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception:  # supervisor
        return _unexpected()
    return DONE


def _unexpected() -> int:
    text = traceback.format_exc()
    for folder in (home_of(None), Path(tempfile.gettempdir())):
        try:
            log = folder / LOG_NAME
            log.write_text(text, "utf-8")
        except OSError:
            continue
        complain(f"an error that nobody expected; what happened is in {log.absolute()}")
        return CHECK_FAILED
    complain(f"an error that nobody expected:\n{text}")
    return CHECK_FAILED


def run() -> NoReturn:
    """The entry of the command."""
    sys.exit(call())
