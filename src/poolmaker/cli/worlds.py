"""Commands that run something until it is told to stop: the platform, the demo, the sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from poolmaker import app
from poolmaker.cli.context import Config, Json, home_of, settings_of
from poolmaker.cli.output import CHECK_FAILED, complain, say, show
from poolmaker.kernel.errors import EnvironmentProblem

sandbox = typer.Typer(no_args_is_help=True, help="Worlds on loopback that speak the real wires.")

sim = typer.Typer(no_args_is_help=True, help="Whole simulated worlds under virtual time.")

Seed = Annotated[int, typer.Option("--seed", help="Replays the same run.", min=0)]
Recording = Annotated[
    Path | None, typer.Option("--recording", help="Recorded market data to play, ndjson.gz.")
]


def up(config: Config = None) -> None:
    """Run the platform until SIGTERM or Ctrl-C."""
    settings = settings_of(config)
    app.load("cli.running").run(app.load("app").up(settings))


def demo(
    once: Annotated[bool, typer.Option("--once", help="Tell the story once and end.")] = False,
    as_json: Json = False,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Default: another one each time.")
    ] = None,
    recording: Recording = None,
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="Of the page.")] = 8420,
    home: Annotated[Path | None, typer.Option("--home", help="Data folder of the demo.")] = None,
) -> None:
    """A whole market on this machine: sandbox, platform, page; no keys, no real money."""
    story = app.load("sandbox.story.driver")
    if recording is not None and not recording.is_file():
        raise EnvironmentProblem(f"there is no recording at {recording}; name an existing file")
    options = story.StoryOptions(
        home=home_of(home).absolute(),
        port=port,
        once=once,
        as_json=as_json,
        seed=seed,
        recording=recording.absolute() if recording else None,
    )
    if not story.run(options, app.load("cli.judge").judge):
        raise typer.Exit(CHECK_FAILED)


@sandbox.command("venue")
def venue(
    port: Annotated[int, typer.Option("--port", help="0 chooses a free one.")] = 0,
    admin_port: Annotated[int, typer.Option("--admin-port", help="0 chooses a free one.")] = 0,
    seed: Seed = 1,
    flow: Annotated[str, typer.Option("--flow", help="seeded, thin or none.")] = "seeded",
    recording: Recording = None,
) -> None:
    """An exchange that speaks Binance's spot wire; prints one JSON line when it is ready."""
    options = app.load("sandbox.venue.options")
    known = {str(kind): kind for kind in options.Flow}
    if flow not in known:
        raise EnvironmentProblem(f"there is no flow {flow!r}; choose one of {', '.join(known)}")
    made = options.VenueOptions(
        port=port, admin_port=admin_port, seed=seed, flow=known[flow], recording=recording
    )
    app.load("cli.running").run(app.load("sandbox.venue.server").serve(made))


@sim.command("swarm")
def swarm(
    seeds: Annotated[int, typer.Option("--seeds", help="How many worlds.", min=1)] = 200,
    first: Annotated[int, typer.Option("--first", help="The first seed.", min=0)] = 0,
    workers: Annotated[int, typer.Option("--workers", help="Processes.", min=1, max=64)] = 2,
    as_json: Json = False,
) -> None:
    """Run many worlds with crashes and faults; exit code 1 on any violation.

    Planted defects must each be found, or the swarm proves nothing.
    """
    clock = app.load("infra.clock").SystemClock()
    report = app.load("lab.swarm").run_swarm(range(first, first + seeds), clock, workers)
    show(as_json, {"figures": report.figures, "context": report.context}, _swarm)
    for world in report.failures:
        complain(f"seed {world.seed}: {world.violations[0]}")
    for defect, seed in report.found_at.items():
        if seed is None:
            complain(f"the planted defect {defect} was not found")
    if not report.ok:
        raise typer.Exit(CHECK_FAILED)


def _swarm(value: dict[str, Any]) -> None:
    for part in ("figures", "context"):
        for name, found in value[part].items():
            say(f"{name.ljust(28)} {found}")


@sandbox.command("mixin")
def mixin(
    port: Annotated[int, typer.Option("--port", help="0 chooses a free one.")] = 0,
    admin_port: Annotated[int, typer.Option("--admin-port", help="0 chooses a free one.")] = 0,
    seed: Seed = 1,
    users: Annotated[int, typer.Option("--users", min=1, max=1_000, help="With wallets.")] = 8,
    finality_ms: Annotated[
        int, typer.Option("--finality-ms", min=0, help="Until a transaction is final.")
    ] = 0,
) -> None:
    """Mixin's Safe API, login, messages and Blaze; prints one JSON line when it is ready."""
    options = app.load("sandbox.mixin.options").MixinOptions(
        port=port, admin_port=admin_port, seed=seed, users=users, finality_ms=finality_ms
    )
    app.load("cli.running").run(app.load("sandbox.mixin.server").serve(options))
