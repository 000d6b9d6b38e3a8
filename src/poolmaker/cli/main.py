"""The command ``poolmaker``."""

from __future__ import annotations

import io
import os
import sys
import traceback
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from poolmaker import __version__
from poolmaker.cli import (
    attend,
    bench,
    books,
    kill,
    money,
    operate,
    outgoing,
    people,
    setup,
    worlds,
)
from poolmaker.cli.client import ApiRefused
from poolmaker.cli.context import home_of
from poolmaker.cli.output import CHECK_FAILED, DONE, USAGE, OutputLost, complain, drop_output
from poolmaker.kernel.errors import EnvironmentProblem, PoolmakerError, PreconditionError

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
cli.add_typer(people.users, name="user")
cli.add_typer(people.tokens, name="token")
cli.add_typer(people.approvals, name="approval")
cli.add_typer(money.treasury, name="treasury")
cli.add_typer(money.custody, name="custody")
cli.add_typer(money.unlisted, name="unlisted")
cli.add_typer(operate.pools, name="pool")
cli.add_typer(operate.orders, name="order")
cli.add_typer(kill.kill, name="kill")
cli.add_typer(kill.engines, name="engine")
cli.add_typer(outgoing.outgoing, name="outgoing")
cli.add_typer(outgoing.chain, name="chain")
cli.add_typer(books.ledger, name="ledger")
cli.add_typer(attend.attention, name="attention")
cli.add_typer(attend.sagas, name="saga")
cli.add_typer(attend.streams, name="stream")
cli.add_typer(attend.suspense, name="suspense")
cli.add_typer(attend.rewards, name="reward")
cli.add_typer(attend.campaigns, name="campaign")
cli.command("freeze")(attend.freeze)
cli.command("unfreeze")(attend.unfreeze)
books.ledger.command("bear-deficit")(attend.bear_deficit)
books.ledger.command("set-aside")(attend.set_aside)
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
        _require_sound(sys.argv[1:] if arguments is None else arguments)
        cli(args=arguments, prog_name="poolmaker")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else DONE
    except ApiRefused as refusal:
        complain(str(refusal))
        return CHECK_FAILED
    except (EnvironmentProblem, PreconditionError) as problem:
        complain(str(problem))
        return USAGE
    except OutputLost as lost:
        drop_output()
        complain(str(lost))
        return CHECK_FAILED
    except PoolmakerError as error:
        complain(f"{error} ({error.code})")
        return CHECK_FAILED
    except BrokenPipeError:
        drop_output()  # the reader has gone
    except Exception:  # supervisor
        return _unexpected()
    return DONE


def _require_sound(arguments: list[str]) -> None:
    """Refuse what no command could work with."""
    try:
        Path.cwd()
        "".join(arguments).encode()
    except OSError:
        raise EnvironmentProblem(
            "the folder that you are in is gone; change to one that exists"
        ) from None
    except UnicodeEncodeError:
        raise EnvironmentProblem("an argument is not UTF-8 text; write it as UTF-8") from None


def _unexpected() -> int:
    text = traceback.format_exc()
    log = home_of(None) / LOG_NAME
    try:
        _write_private(log, text)
    except OSError:
        complain(f"an unexpected error:\n{text}")
        return CHECK_FAILED
    complain(f"an unexpected error; what happened is in {log.absolute()}")
    return CHECK_FAILED


def _write_private(log: Path, text: str) -> None:
    """Write where only this user reads it. Whatever is there already is replaced, not followed."""
    log.unlink(missing_ok=True)
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def run() -> NoReturn:
    """The entry of the command."""
    # A closed stream takes nothing, and what a terminal cannot show is shown as its number.
    sys.stdin, sys.stdout, sys.stderr = (
        stream or Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - until the end
        for stream, mode in ((sys.stdin, "r"), (sys.stdout, "w"), (sys.stderr, "w"))
    )
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.exit(call())
