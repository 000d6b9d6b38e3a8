"""Which flows a venue runs, and how its markets start."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeAlias, assert_never

from poolmaker.kernel.errors import EnvironmentProblem
from poolmaker.kernel.rng import Rng
from poolmaker.sandbox.venue.catalog import SYMBOLS
from poolmaker.sandbox.venue.exchange import Exchange
from poolmaker.sandbox.venue.flow_recorded import RecordedFlow
from poolmaker.sandbox.venue.flow_seeded import PROFILES, SeededFlow, thinned
from poolmaker.sandbox.venue.model import SymbolSpec
from poolmaker.sandbox.venue.options import Flow, VenueOptions
from poolmaker.sandbox.venue.recording import Recording, load_recording, middle_units

Running: TypeAlias = Callable[[Callable[[], bool]], Coroutine[Any, Any, None]]


def read_recording(options: VenueOptions) -> Recording | None:
    """The recording of the options, if they name one."""
    if options.recording is None:
        return None
    recording = load_recording(options.recording)
    if recording.symbol not in {spec.name for spec in SYMBOLS}:
        raise EnvironmentProblem(
            f"Recording {options.recording} is of {recording.symbol}, which this venue does not "
            "list: record one of its symbols."
        )
    return recording


def listed_symbols(recording: Recording | None) -> tuple[SymbolSpec, ...]:
    """The symbols, the recorded one at the price at which its recording starts."""
    if recording is None:
        return SYMBOLS
    return tuple(
        replace(spec, first_price_units=middle_units(recording, spec.tick_units))
        if spec.name == recording.symbol
        else spec
        for spec in SYMBOLS
    )


def flows_of(
    options: VenueOptions, exchange: Exchange, recorded: RecordedFlow | None
) -> list[Running]:
    """The flows to run: the recording for its symbol, the seeded ones for the others."""
    found: list[Running] = [] if recorded is None else [recorded.run]
    rng = Rng(options.seed).fork("flow")
    for symbol, profile in PROFILES.items():
        if recorded is not None and symbol == recorded.recording.symbol:
            continue
        match options.flow:
            case Flow.SEEDED:
                found.append(SeededFlow(exchange, symbol, profile, rng).run)
            case Flow.THIN:
                found.append(SeededFlow(exchange, symbol, thinned(profile), rng).run)
            case Flow.NONE:
                pass
            case _:
                assert_never(options.flow)
    return found
