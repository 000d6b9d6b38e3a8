"""Commands that run something until it is told to stop: the platform, the demo, the sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from poolmaker import app
from poolmaker.cli.context import Config, Json, home_of, settings_of
from poolmaker.cli.output import CHECK_FAILED
from poolmaker.kernel.errors import EnvironmentProblem

sandbox = typer.Typer(no_args_is_help=True, help="Worlds on loopback that speak the real wires.")

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
