"""Escrows in memory that follow the rules of HUMAN's contract 6.0, with trouble on demand."""

from __future__ import annotations

from dataclasses import replace

from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import OutcomeUnknown
from poolmaker.sandbox.chain.model import Token
from poolmaker.sandbox.chain.rpc import RpcRefused
from poolmaker.sandbox.hufi.model import EscrowState, EscrowStatus, Launch, Payment

ORACLES = ("0x" + "E" * 40, "0x" + "C" * 40, "0x" + "F" * 40)
LAUNCHER = "0x" + "A" * 40


class MemoryEscrows:
    """The chain. ``doubts`` makes the next write happen without an answer."""

    def __init__(self, clock: Clock, fees: tuple[int, int, int] = (1, 1, 2)) -> None:
        self._clock = clock
        self._fees = fees
        self.states: dict[str, EscrowState] = {}
        self.launches: list[Launch] = []
        self.received: dict[str, int] = {}
        self.payout_ids: dict[str, list[str]] = {}
        self.writes: list[str] = []
        self.doubts = False
        self.refuses_next = False

    @property
    def recording_oracle(self) -> str:
        return ORACLES[1]

    async def head(self) -> int:
        return len(self.launches)

    async def launched(self, first: int, last: int) -> list[Launch]:
        return [one for one in self.launches if first <= one.block <= last]

    async def has(self, address: str) -> bool:
        return address in self.states

    async def read(self, address: str) -> EscrowState:
        return self.states[address]

    async def oracle_fees(self) -> list[str]:
        return [str(fee) for fee in self._fees]

    def _now_ms(self) -> int:
        return self._clock.now_us() // 1_000

    def _write(self, name: str, state: EscrowState, **changes: object) -> None:
        if self.refuses_next:
            self.refuses_next = False
            raise RpcRefused(3, "execution reverted")
        self.writes.append(name)
        self.states[state.address] = replace(state, **changes)  # type: ignore[arg-type]
        if self.doubts:
            self.doubts = False
            raise OutcomeUnknown("no block took it in time")

    def _give(self, who: str, units: int) -> None:
        self.received[who] = self.received.get(who, 0) + units

    async def create(self, token: Token, units: int, manifest: str) -> tuple[str, str]:
        address = f"0x{len(self.launches) + 1:040}"
        self.launches.append(Launch(address, token.address, "x", len(self.launches) + 1))
        self.states[address] = EscrowState(
            address=address, token=token.address, status=EscrowStatus.PENDING, launcher=LAUNCHER,
            oracles=ORACLES, fees=self._fees, manifest=manifest, manifest_hash="",
            fund_units=units, remaining_units=units, reserved_units=0, balance_units=units,
            intermediate_url="", intermediate_hash="", final_url="", payments=(),
            created_ms=self._now_ms(), cancel_requested_ms=None, finalized_ms=None,
        )  # fmt: skip
        self.payout_ids[address] = []
        return address, "0x1"

    async def request_cancellation(self, address: str) -> str:
        state = self.states[address]
        self.states[address] = replace(
            state, status=EscrowStatus.TO_CANCEL, cancel_requested_ms=self._now_ms()
        )
        return "0x2"

    async def store_results(self, address: str, url: str, digest: str, units: int) -> None:
        state = self.states[address]
        assert units <= state.remaining_units - state.reserved_units, "Insufficient unreserved"
        reserved = state.reserved_units + units
        remaining, status = state.remaining_units, state.status
        if status is EscrowStatus.TO_CANCEL:
            self._give(LAUNCHER, remaining - reserved)
            remaining = reserved
            status = EscrowStatus.CANCELLED if remaining == 0 else status
        self._write(
            "store", state, intermediate_url=url, intermediate_hash=digest,
            reserved_units=reserved, remaining_units=remaining, status=status,
        )  # fmt: skip

    async def pay(
        self, address: str, payments: list[tuple[str, int]], url: str, digest: str, payout_id: str
    ) -> None:
        state, total = self.states[address], sum(units for _, units in payments)
        assert payout_id not in self.payout_ids[address], "payoutId already exists"
        assert total <= state.reserved_units, "Not enough funds"
        assert 0 < len(payments) <= 99
        assert all(units > 0 for _, units in payments)
        if not self.refuses_next:
            self.payout_ids[address].append(payout_id)
            for who, units in payments:
                self._give(who, units - sum(units * fee // 100 for fee in state.fees))
        remaining = state.remaining_units - total
        partial = EscrowStatus.PARTIAL if remaining else EscrowStatus.COMPLETE
        if state.status is EscrowStatus.TO_CANCEL:
            partial = state.status if remaining else EscrowStatus.CANCELLED
        self._write(
            "pay", state, final_url=url, status=partial, remaining_units=remaining,
            reserved_units=state.reserved_units - total,
            payments=(*state.payments, Payment(self._now_ms(), total)),
        )  # fmt: skip

    async def complete(self, address: str) -> None:
        state = self.states[address]
        self._give(LAUNCHER, state.remaining_units)
        self._write(
            "complete", state, remaining_units=0, reserved_units=0, status=EscrowStatus.COMPLETE
        )

    async def cancel(self, address: str) -> None:
        state = self.states[address]
        assert state.status is EscrowStatus.TO_CANCEL
        self._give(LAUNCHER, state.remaining_units)
        self._write(
            "cancel", state, remaining_units=0, reserved_units=0, status=EscrowStatus.CANCELLED
        )
