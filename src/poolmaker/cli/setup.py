"""Commands about the machine: configuration, database, doctor."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable
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
    value = {"ok": True, "mode": str(settings.mode), "home": str(settings.home)}
    show(as_json, value, lambda v: say(f"in order: mode {v['mode']}, data in {v['home']}"))


def _url(settings: Any) -> str | None:
    return settings.database_url.get_secret_value() if settings.database_url else None


async def _open(settings: Any) -> Any:
    clock = app.load("infra.clock").SystemClock()
    opening = app.load("infra.postgres.opening")
    return await opening.open_postgres(settings.home, clock, url=_url(settings))


async def _with_server(settings: Any, work: Callable[[Any], Awaitable[Any]]) -> Any:
    server = await _open(settings)
    try:
        return await work(server)
    finally:
        await server.stop()


@database_commands.command("url")
def database_url(config: Config = None, home: Home = None, as_json: Json = False) -> None:
    """Print where the database is, as a reader; it names a password file and no password."""
    role = app.load("infra.postgres.model").DatabaseRole.READER

    async def work(server: Any) -> str:
        return str(server.dsn(role))

    url = asyncio.run(_with_server(settings_of(config, home), work))
    show(as_json, {"url": url}, lambda value: say(value["url"]))


@database_commands.command("migrate")
def migrate(config: Config = None, home: Home = None, as_json: Json = False) -> None:
    """Bring the schema to what this version needs."""
    runner = app.load("infra.migrations.runner")
    revision = asyncio.run(_with_server(settings_of(config, home), runner.migrate))
    show(as_json, {"revision": revision}, lambda v: say(f"the schema is at {v['revision']}"))


@database_commands.command("start")
def start_database(config: Config = None, home: Home = None, as_json: Json = False) -> None:
    """Run the embedded server in the foreground until Ctrl-C."""
    settings = settings_of(config, home)
    if _url(settings):
        raise EnvironmentProblem(
            "the configuration names a database of your own, which poolmaker neither starts nor "
            "stops; start it with its own tools or unset POOLMAKER_DATABASE_URL"
        )
    asyncio.run(_run_database(settings, as_json))


async def _run_database(settings: Any, as_json: bool) -> None:
    stopping = asyncio.Event()
    for name in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(name, stopping.set)
    server = await _open(settings)
    watching = asyncio.create_task(server.watch())
    try:
        role = app.load("infra.postgres.model").DatabaseRole.READER
        value = {"url": server.dsn(role)}
        show(as_json, value, lambda v: say(f"PostgreSQL runs at {v['url']}; stop it with Ctrl-C"))
        await stopping.wait()
    finally:
        watching.cancel()
        await server.stop()


@database_commands.command("stop")
def stop_database(config: Config = None, home: Home = None, as_json: Json = False) -> None:
    """Stop an embedded server that nobody uses; one in use stays up and is named."""
    settings = settings_of(config, home)
    clock = app.load("infra.clock").SystemClock()
    still = asyncio.run(_stop(settings, clock))
    value = {"stopped": not still}
    show(as_json, value, lambda v: say("stopped" if v["stopped"] else "others still use it"))
    if still:
        raise typer.Exit(CHECK_FAILED)


async def _stop(settings: Any, clock: Any) -> bool:
    """Whether the server is still up: whoever leaves last stops it, so we join and leave."""
    placement = app.load("infra.postgres.placement").place(settings.home)
    living = app.load("infra.postgres.data_directory").living_server
    if living(placement) is None:
        return False
    cluster = await app.load("infra.postgres.cluster").Cluster.start(settings.home, clock)
    await cluster.stop()
    return living(placement) is not None


def doctor(config: Config = None, home: Home = None, as_json: Json = False) -> None:
    """Look at everything the platform needs of this machine; changes nothing."""
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
    url = _url(settings)
    found += _external(settings) if url else _postgres(settings.home)
    return [*found, _port(settings.web.host, settings.web.port)]


def _found(name: str, *, ok: bool, sentence: str) -> dict[str, Any]:
    return {"name": name, "ok": ok, "sentence": sentence, "remedy": ""}


def _postgres(home: Any) -> list[dict[str, Any]]:
    return [asdict(finding) for finding in app.load("infra.postgres.doctor").examine(home)]


def _external(settings: Any) -> list[dict[str, Any]]:
    async def nothing(_: Any) -> None:
        return None

    try:
        asyncio.run(_with_server(settings, nothing))
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
