"""What the oracles need from the chain and from the exchange."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from poolmaker.hufi.rules import ScoredTrade
from poolmaker.sandbox.chain.model import Token
from poolmaker.sandbox.hufi.model import EscrowState, ExchangePermission, Launch

Key = tuple[str, str]


class EscrowChain(Protocol):
    """HUMAN's escrows. Raises RpcRefused, Unavailable, OutcomeUnknown."""

    @property
    def recording_oracle(self) -> str:
        """The address whose campaigns are ours."""
        ...

    async def head(self) -> int:
        """Number of the newest block."""
        ...

    async def launched(self, first: int, last: int) -> list[Launch]:
        """Escrows that the factory made in these blocks, oldest first."""
        ...

    async def has(self, address: str) -> bool:
        """Whether the factory made it."""
        ...

    async def read(self, address: str) -> EscrowState:
        """All that the chain says of an escrow."""
        ...

    async def oracle_fees(self) -> list[str]:
        """What the three oracles ask for new campaigns: exchange, recording, reputation."""
        ...

    async def create(self, token: Token, units: int, manifest: str) -> tuple[str, str]:
        """Fund and set up an escrow as the launcher does; its address and the transaction."""
        ...

    async def request_cancellation(self, address: str) -> str:
        """As the launcher does; the transaction."""
        ...

    async def store_results(self, address: str, url: str, digest: str, units: int) -> None:
        """As the recording oracle does; ``units`` more are reserved."""
        ...

    async def pay(
        self, address: str, payments: list[tuple[str, int]], url: str, digest: str, payout_id: str
    ) -> None:
        """As the reputation oracle does; amounts are what leaves the escrow, fees included."""
        ...

    async def complete(self, address: str) -> None:
        """What is left goes back to the launcher."""
        ...

    async def cancel(self, address: str) -> None:
        """The same, after a request to cancel."""
        ...


class Accounts(Protocol):
    """Accounts of others at the exchange. Raises AccessRefused and, else, Unavailable."""

    async def balance(self, key: Key, symbol: str) -> float | None:
        """Free and used together, None where the account has none."""
        ...

    async def deposit_address(self, key: Key) -> str:
        """The account's ETH address on Ethereum."""
        ...

    async def trades(self, key: Key, pair: str, since_ms: int, until_ms: int) -> list[ScoredTrade]:
        """The account's trades in [since, until), newest first."""
        ...

    async def missing(
        self, key: Key, wanted: Sequence[ExchangePermission]
    ) -> tuple[ExchangePermission, ...]:
        """Which of ``wanted`` the key lacks, asked live."""
        ...

    async def markets(self) -> list[tuple[str, str]]:
        """Base and quote of everything listed."""
        ...
