"""A recorded market: the frames of a file, checked, with recorded trades as taker orders.

A line is the local receive time in nanoseconds, a space, and the raw JSON frame. Depth frames
stay raw until they are played; best-price frames are left out, the diffs hold the same book.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from poolmaker.kernel.errors import EnvironmentProblem
from poolmaker.sandbox.venue.model import SymbolSpec
from poolmaker.sandbox.venue.units import to_units

Rows = list[tuple[str, str]]
LevelRows = list[tuple[int, int]]
FRAMES_MAX: Final = 2_000_000


class _Depth(msgspec.Struct):
    first_id: int = msgspec.field(name="U")
    last_id: int = msgspec.field(name="u")
    bids: Rows = msgspec.field(name="b")
    asks: Rows = msgspec.field(name="a")
    symbol: str = msgspec.field(name="s")


class _Trade(msgspec.Struct):
    price: str = msgspec.field(name="p")
    quantity: str = msgspec.field(name="q")
    time_ms: int = msgspec.field(name="T")
    buyer_is_maker: bool = msgspec.field(name="m")


class _Wrapped(msgspec.Struct):
    data: msgspec.Raw
    stream: str = ""


class _Snapshot(msgspec.Struct):
    last_id: int = msgspec.field(name="lastUpdateId")
    bids: Rows
    asks: Rows


_DEPTH = msgspec.json.Decoder(_Depth)


@dataclass(frozen=True, slots=True)
class DepthFrame:
    """A recorded diff, decoded when it is played."""

    offset_us: int
    raw: bytes
    last_id: int

    def read(self) -> tuple[Rows, Rows]:
        """Changed bids and asks, absolute quantities."""
        decoded = _DEPTH.decode(self.raw)
        return decoded.bids, decoded.asks


@dataclass(slots=True)
class TakerOrder:
    """Recorded trades of one instant and direction as the order that must have made them."""

    offset_us: int
    time_ms: int
    is_buy: bool
    limit_units: int
    quantity_units: int

    def add(self, price_units: int, quantity_units: int) -> None:
        """One more trade of the same order; its limit is the worst price that it took."""
        self.quantity_units += quantity_units
        worst = max if self.is_buy else min
        self.limit_units = worst(self.limit_units, price_units)


@dataclass(slots=True)
class Recording:
    """A snapshot and what came after it, by the time since the snapshot."""

    symbol: str
    snapshot_id: int
    bids: Rows
    asks: Rows
    frames: list[DepthFrame | TakerOrder] = field(default_factory=list)

    @property
    def duration_us(self) -> int:
        """From the snapshot to the last frame."""
        return self.frames[-1].offset_us if self.frames else 0


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with gzip.open(path, "rb") as file:
        for line in file:
            stamp, _, raw = line.partition(b" ")
            yield int(stamp) // 1_000, raw.rstrip()


def load_recording(path: Path) -> Recording:
    """Read a whole recording; EnvironmentProblem when it is not one, or has a gap."""
    try:
        return _assemble(path, _lines(path))
    except (OSError, EOFError) as problem:
        raise EnvironmentProblem(
            f"Recording {path} cannot be read ({problem}): give --recording an ndjson.gz file."
        ) from None
    except (ValueError, msgspec.MsgspecError) as problem:
        raise EnvironmentProblem(
            f"Recording {path} is not a list of recorded frames ({problem})."
        ) from None


def _assemble(path: Path, lines: Iterable[tuple[int, bytes]]) -> Recording:
    early: list[tuple[int, bytes]] = []
    recording: Recording | None = None
    taker: TakerOrder | None = None
    last_id = start_us = 0
    for count, (time_us, raw) in enumerate(lines):
        if count > FRAMES_MAX:
            raise EnvironmentProblem(f"Recording {path} has more than {FRAMES_MAX} frames.")
        if raw.startswith(b'{"lastUpdateId"'):
            if recording is None:
                snapshot = msgspec.json.decode(raw, type=_Snapshot)
                start_us, last_id = time_us, snapshot.last_id
                recording = Recording("", last_id, snapshot.bids, snapshot.asks)
                for _, frame in early:
                    last_id = _add_depth(path, recording, 0, frame, last_id)
            continue
        wrapped = msgspec.json.decode(raw, type=_Wrapped)
        body = bytes(wrapped.data)
        if "@depth" in wrapped.stream:
            if recording is None:
                early.append((time_us, body))
            else:
                offset_us = time_us - start_us
                last_id = _add_depth(path, recording, offset_us, body, last_id)
        elif wrapped.stream.endswith("@trade") and recording is not None:
            taker = _add_trade(recording, time_us - start_us, body, taker)
    if recording is None or not recording.frames:
        raise EnvironmentProblem(f"Recording {path} holds no snapshot followed by depth frames.")
    return recording


def _add_depth(path: Path, recording: Recording, offset_us: int, raw: bytes, last_id: int) -> int:
    decoded = _DEPTH.decode(raw)
    if decoded.last_id <= last_id:
        return last_id
    if decoded.first_id > last_id + 1:
        raise EnvironmentProblem(
            f"Recording {path} has a gap: {decoded.first_id} follows {last_id}."
        )
    recording.symbol = decoded.symbol
    recording.frames.append(DepthFrame(offset_us, raw, decoded.last_id))
    return decoded.last_id


def _add_trade(
    recording: Recording, offset_us: int, raw: bytes, taker: TakerOrder | None
) -> TakerOrder:
    trade = msgspec.json.decode(raw, type=_Trade)
    price, quantity = to_units(trade.price), to_units(trade.quantity)
    is_buy = not trade.buyer_is_maker
    if taker is not None and (taker.time_ms, taker.is_buy) == (trade.time_ms, is_buy):
        taker.add(price, quantity)
        return taker
    made = TakerOrder(offset_us, trade.time_ms, is_buy, price, quantity)
    recording.frames.append(made)
    return made


def to_levels(spec: SymbolSpec, rows: Rows) -> LevelRows:
    """Rows of text as ticks and lots; what is smaller than a lot counts as none."""
    return [
        (to_units(price) // spec.tick_units, to_units(quantity) // spec.step_units)
        for price, quantity in rows
    ]


def middle_units(recording: Recording, tick_units: int) -> int:
    """The middle of the recorded snapshot, on a tick."""
    bid, ask = to_units(recording.bids[0][0]), to_units(recording.asks[0][0])
    return (bid + ask) // 2 // tick_units * tick_units
