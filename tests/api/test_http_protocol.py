"""Who is cut when there are too many connections: whoever waits, never who is being answered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from poolmaker.api.http_protocol import Connections


@dataclass(eq=False)
class Fake:
    """A connection that is busy or not, and hangs up when it is cut."""

    connections: Any
    address: str
    is_busy: bool
    open: bool = field(default=True)

    def cut(self) -> None:
        assert not self.is_busy
        self.open = False
        self.connections.leave(self)


@given(
    st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=60),
    st.integers(1, 6),
    st.integers(1, 12),
)
def test_found_34_idle_connections_make_room_and_busy_ones_stay(
    arrivals: list[tuple[str, bool]], per_address: int, in_all: int
) -> None:
    connections = Connections(per_address, in_all)
    made: list[Fake] = []
    for address, is_busy in arrivals:
        alive = [one for one in made if one.open]
        mine = [one for one in alive if one.address == address]
        full = len(mine) >= per_address
        crowded = len(alive) - full >= in_all
        room = any(not one.is_busy for one in (mine if full else alive))
        new = Fake(connections, address, is_busy)
        admitted = connections.admit(new)  # type: ignore[arg-type]
        assert admitted == ((not full and not crowded) or room)
        new.open = admitted
        made.append(new)
        alive = [one for one in made if one.open]
        assert len(alive) <= in_all
        assert all(
            len([one for one in alive if one.address == name]) <= per_address for name in "abcd"
        )


def test_a_thousand_idle_sockets_of_one_address_displace_only_one_another() -> None:
    connections = Connections(per_address=10, in_all=100)
    other = Fake(connections, "other", is_busy=False)
    assert connections.admit(other)  # type: ignore[arg-type]
    for _ in range(1_000):
        assert connections.admit(Fake(connections, "greedy", is_busy=False))  # type: ignore[arg-type]
    assert other.open


def test_who_leaves_makes_room_once() -> None:
    connections = Connections(per_address=1, in_all=1)
    first = Fake(connections, "a", is_busy=True)
    assert connections.admit(first)  # type: ignore[arg-type]
    assert not connections.admit(Fake(connections, "b", is_busy=False))  # type: ignore[arg-type]
    connections.leave(first)  # type: ignore[arg-type]
    connections.leave(first)  # type: ignore[arg-type]
    assert connections.admit(Fake(connections, "b", is_busy=True))  # type: ignore[arg-type]
    assert not connections.admit(Fake(connections, "c", is_busy=False))  # type: ignore[arg-type]
