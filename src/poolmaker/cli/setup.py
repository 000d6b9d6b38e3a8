"""Commands about the machine: configuration, database, doctor."""

from __future__ import annotations

import socket
from dataclasses import asdict
from typing import Annotated, Any

import typer

from poolmaker import app
from poolmaker.cli.context import Config, Home, Json, home_of, settings_of
from poolmaker.cli.output import CHECK_FAILED, print_json, say, show, table
from poolmaker.kernel.errors import EnvironmentProblem, PoolmakerError

config_commands = typer.Typer(no_args_is_help=True, help="The configuration.")
database_commands = typer.Typer(no_args_is_help=True, help="The database.")


@config_commands.command("show")
def show_config(
    config: Config = None,
    home: Home = None,
    origin: Annotated[bool, typer.Option("--origin", help="Say where each value is from.")] = False,
    as_json: Json = False,
) -> None:
    """Show every setting; secrets are masked."""
    rows = [row.model_dump() for row in settings_of(config, home).origins()]
    if as_json:
        print_json(rows)
    elif origin:
        table(("setting", "value", "from"), [(r["key"], r["value"], r["source"]) for r in rows])
    else:
        table(("setting", "value"), [(r["key"], r["value"]) for r in rows])


@config_commands.command("check")
def check_config(config: Config = None, home: Home = None, as_json: Json = False) -> None:
    """Check the configuration; a fault is one sentence and exit code 2."""
    settings = settings_of(config, home)
    notes = list(settings.notes())
    value = {"ok": True, "mode": str(settings.mode), "home": str(settings.home), "notes": notes}
    show(as_json, value, _say_checked)


def _say_checked(value: dict[str, Any]) -> None:
    for note in value["notes"]:
        say(note)
    say(f"in order: mode {value['mode']}, data in {value['home']}")


@database_commands.command("url")
def database_url(config: Config = None, home: Home = None, as_json: Json = False) -> None:
    """Print where the database is, as a reader; it names a password file and no password."""
    url = app.load("cli.running").reader_url(settings_of(config, home))
    show(as_json, {"url": url}, lambda value: say(value["url"]))


@database_commands.command("migrate")
def migrate(config: Config = None, home: Home = None, as_json: Json = False) -> None:
    """Bring the schema to what this version needs."""
    revision = app.load("cli.running").migrate(settings_of(config, home))
    show(as_json, {"revision": revision}, lambda v: say(f"the schema is at {v['revision']}"))


@database_commands.command("start")
def start_database(config: Config = None, home: Home = None, as_json: Json = False) -> None:
    """Run the embedded server in the foreground until Ctrl-C."""

    def ready(url: str) -> None:
        sentence = f"PostgreSQL runs at {url}; stop it with Ctrl-C"
        show(as_json, {"url": url}, lambda _: say(sentence))

    app.load("cli.running").run_database(_embedded(settings_of(config, home)), ready)


@database_commands.command("stop")
def stop_database(config: Config = None, home: Home = None, as_json: Json = False) -> None:
    """Stop an embedded server that nobody uses; exit code 1 when others keep it up."""
    stopped = app.load("cli.running").stop_database(_embedded(settings_of(config, home)))
    sentence = "stopped" if stopped else "others still use it; it stops when they leave"
    show(as_json, {"stopped": stopped}, lambda _: say(sentence))
    if not stopped:
        raise typer.Exit(CHECK_FAILED)


def _embedded(settings: Any) -> Any:
    if settings.database_url:
        raise EnvironmentProblem(
            "the configuration names a database of your own, which poolmaker neither starts nor "
            "stops; use its own tools, or unset POOLMAKER_DATABASE_URL"
        )
    return settings


def doctor(config: Config = None, home: Home = None, as_json: Json = False) -> None:
    """Look at what the platform needs: machine, services, keys and clocks; changes nothing."""
    findings = list(_findings(config, home))
    value = {"ok": all(found["ok"] for found in findings), "findings": findings}
    show(as_json, value, _diagnosis)
    if not value["ok"]:
        raise typer.Exit(CHECK_FAILED)


def _findings(config: Config, home: Home) -> list[dict[str, Any]]:
    try:
        settings = settings_of(config, home)
    except EnvironmentProblem as problem:
        place = home_of(home).absolute()
        return [_found("configuration", ok=False, sentence=str(problem)), *_postgres(place)]
    found = [_found("configuration", ok=True, sentence=f"mode {settings.mode}")]
    found += _external(settings) if settings.database_url else _postgres(settings.home)
    found.append(_port(settings.web.host, settings.web.port))
    asking = app.load("app.doctor").examine_outside(settings)
    return [*found, *(asdict(finding) for finding in app.load("cli.running").run(asking))]


def _found(name: str, *, ok: bool, sentence: str) -> dict[str, Any]:
    return {"name": name, "ok": ok, "sentence": sentence, "remedy": ""}


def _postgres(home: Any) -> list[dict[str, Any]]:
    return [asdict(finding) for finding in app.load("infra.postgres.doctor").examine(home)]


def _external(settings: Any) -> list[dict[str, Any]]:
    try:
        app.load("cli.running").touch(settings)
    except PoolmakerError as problem:
        return [_found("database", ok=False, sentence=str(problem))]
    return [_found("database", ok=True, sentence="it answers and may hold money")]


def _port(host: str, port: int) -> dict[str, Any]:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            sentence = f"{host}:{port} is in use: by the running platform, or by another program"
            return _found("port", ok=error.errno != 13, sentence=sentence)  # noqa: PLR2004
    return _found("port", ok=True, sentence=f"{host}:{port} is free")


def _diagnosis(value: dict[str, Any]) -> None:
    for found in value["findings"]:
        say(f"{'ok ' if found['ok'] else 'NOT'}  {found['name'].ljust(16)} {found['sentence']}")
        if found["remedy"]:
            say(f"     {' ' * 16} {found['remedy']}")
