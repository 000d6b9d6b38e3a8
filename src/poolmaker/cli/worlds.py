"""Commands that run something until it is told to stop: the platform, the demo, the sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

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
    """A whole market on this machine: sandbox, platform, page; no keys, no real money.

    Every start begins from empty: the worlds around the platform live only as long as the demo.
    What the last one left stays in its folder until then; name another with --home to keep it.
    """
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
    if not story.run(options):
        raise typer.Exit(CHECK_FAILED)


# The worlds read their own arguments: there is one place that says which they take.
_PASSED_ON: Final = {
    "allow_extra_args": True,
    "ignore_unknown_options": True,
    "help_option_names": [],
}


@sandbox.command("venue", context_settings=_PASSED_ON)
def venue(context: typer.Context) -> None:
    """An exchange that speaks Binance's spot wire; prints one JSON line when it is ready."""
    _world("venue", context)


@sandbox.command("mixin", context_settings=_PASSED_ON)
def mixin(context: typer.Context) -> None:
    """Mixin's Safe wire, with wallets that pay; prints one JSON line when it is ready."""
    _world("mixin", context)


@sandbox.command("chain", context_settings=_PASSED_ON)
def chain(context: typer.Context) -> None:
    """An EVM chain with HUMAN's contracts; prints one JSON line when it is ready."""
    _world("chain", context)


@sandbox.command("hufi", context_settings=_PASSED_ON)
def hufi(context: typer.Context) -> None:
    """HuFi's oracle and launcher over a chain and a venue; prints one JSON line when ready."""
    _world("hufi", context)


@sandbox.command("relay", context_settings=_PASSED_ON)
def relay(context: typer.Context) -> None:
    """Carries value between a venue, Mixin and a chain; prints one JSON line when it is ready."""
    _world("relay", context)


def _world(name: str, context: typer.Context) -> None:
    raise typer.Exit(app.load(f"sandbox.{name}.__main__").main(context.args))


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
