"""What the Mixin client asks of others: the network's API, and a store for what must last."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from poolmaker.infra.transactions import Tx
from poolmaker.mixin.codec.keys import GhostKeys
from poolmaker.mixin.model import (
    DepositAddress,
    Fee,
    Journalled,
    KeptOutput,
    LockWanted,
    MixinIncident,
    MixinPayment,
    MixinUser,
    OwnOutput,
    SeenOutput,
    SeenRequest,
    SeenSnapshot,
    TransactionStage,
    Unlisted,
    UnlistedStuck,
)


class Safe(Protocol):
    """The API. Every call has its timeout and raises Unavailable when nothing happened.

    Calls raise MixinRefused with the server's own word; what writes raises OutcomeUnknown.
    """

    async def outputs(self, since: int, *, asset_id: str = "", state: str = "") -> list[SeenOutput]:
        """At most 500 outputs of ours from a sequence on, which is included, in order."""
        ...

    async def output(self, output_id: str) -> SeenOutput:
        """One output."""
        ...

    async def receipt(self, one: SeenOutput) -> SeenSnapshot | None:
        """The snapshot by which an output came; None while there is none."""
        ...

    async def snapshot(self, snapshot_id: str) -> SeenSnapshot:
        """One snapshot."""
        ...

    async def fees(self, asset_id: str, destination: str) -> list[Fee]:
        """What a withdrawal costs now: any one of them."""
        ...

    async def check_address(self, asset_id: str, destination: str, tag: str) -> None:
        """Raise MixinRefused unless it is an address of the asset's chain."""
        ...

    async def locks(self, wanted: Sequence[LockWanted]) -> list[GhostKeys]:
        """One-time keys; the same question has the same answer."""
        ...

    async def bind(self, batch: Sequence[tuple[str, bytes]]) -> list[SeenRequest]:
        """Bind request ids to unsigned transactions. An id that is bound answers as it is."""
        ...

    async def submit(self, batch: Sequence[tuple[str, bytes]]) -> list[SeenRequest]:
        """Send signed transactions, all or none; the same bytes may be sent again."""
        ...

    async def request(self, request_id: str) -> SeenRequest | None:
        """The transaction of a request id, None when it was never bound."""
        ...

    async def chain_of(self, asset_id: str) -> str:
        """The chain that an asset lives on."""
        ...

    async def deposit_address(self, chain_id: str) -> DepositAddress:
        """Our address on a chain."""
        ...

    async def user(self, user_id: str) -> MixinUser | None:
        """A user, None when there is none."""
        ...


class WalkStore(Protocol):
    """Where the walker keeps what it saw. Every method runs in the caller's transaction."""

    async def cursor(self, tx: Tx, app_id: str) -> int:
        """Up to which sequence was walked; locks the row."""
        ...

    async def move(self, tx: Tx, app_id: str, sequence: int) -> None:
        """Everything before ``sequence`` is kept; it never goes back."""
        ...

    async def known(self, tx: Tx, output_ids: Sequence[str]) -> frozenset[str]:
        """Which of them are kept."""
        ...

    async def keep(self, tx: Tx, one: KeptOutput) -> bool:
        """Add an output; False when it is kept already."""
        ...

    async def open(self, tx: Tx, now_us: int, assets: Sequence[str]) -> list[KeptOutput]:
        """Outputs that should be asked for again now, oldest first, at most 500.

        Of unknown assets only those in ``assets``, which have become known.
        """
        ...

    async def is_open(self, tx: Tx, output_id: str) -> bool:
        """Whether it is still to be judged; locks the row."""
        ...

    async def judged(self, tx: Tx, one: KeptOutput) -> None:
        """Write what became of it."""
        ...

    async def unbooked(self, tx: Tx, asset_id: str) -> int:
        """Units of what is unspent and not judged, dust included."""
        ...

    async def made_by_us(self, tx: Tx, transaction_hash: str) -> bool:
        """Whether the journal holds this transaction."""
        ...

    async def count_unlisted(self, tx: Tx, one: SeenOutput, sender: str) -> None:
        """Count an output of an asset without a form; the caller counts each once."""
        ...

    async def unlisted(self, tx: Tx, after: tuple[str, str], limit: int) -> list[Unlisted]:
        """What is here of assets without a form, after an (asset, sender), in their order."""
        ...

    async def unlisted_sums(self, tx: Tx) -> Mapping[str, int]:
        """The network's units that are here of each asset without a form."""
        ...

    async def stuck_unlisted(self, tx: Tx, limit: int) -> list[UnlistedStuck]:
        """Assets of which something does not go back by itself, at most ``limit``."""
        ...

    async def lock_asset(self, tx: Tx, asset_id: str) -> None:
        """Wait until nobody else begins or ends a return of the asset."""
        ...

    async def returning(self, tx: Tx, asset_ids: Sequence[str]) -> frozenset[str]:
        """Of which of these assets a return is under way."""
        ...

    async def lock_unlisted(self, tx: Tx, asset_id: str, sender: str) -> Unlisted | None:
        """One row, locked, or None."""
        ...

    async def save_unlisted(self, tx: Tx, row: Unlisted) -> None:
        """Insert or overwrite a row."""
        ...

    async def settle_unlisted(
        self, tx: Tx, held: Mapping[tuple[str, str], int], now_us: int
    ) -> None:
        """Make the rows what the network holds by asset and sender; nobody else has a row then.

        Rows with a return under way stay as they are.
        """
        ...

    async def booked(self, tx: Tx, output_ids: Sequence[str]) -> frozenset[str]:
        """Which of them were judged as money of a form: they never go back as unlisted."""
        ...

    async def free_kept(self, tx: Tx, asset_ids: Sequence[str]) -> None:
        """Outputs that were kept for a return that ended without paying wait for a form again."""
        ...

    async def forget_unlisted(self, tx: Tx, asset_ids: Sequence[str]) -> None:
        """Nothing of these assets is counted any more, but for returns under way."""
        ...

    async def report(self, tx: Tx, incident: MixinIncident) -> None:
        """Keep an incident; the same one is kept once."""
        ...

    async def incidents(self, tx: Tx) -> list[MixinIncident]:
        """Every incident, newest first, at most 500."""
        ...


class PayStore(Protocol):
    """The journal of payments. Every method runs in the caller's transaction."""

    async def lock_selector(self, tx: Tx, app_id: str) -> None:
        """Wait until nobody else chooses outputs."""
        ...

    async def payment(self, tx: Tx, request_id: str) -> MixinPayment | None:
        """A payment."""
        ...

    async def add_payment(self, tx: Tx, payment: MixinPayment) -> None:
        """A new payment."""
        ...

    async def change_payment(self, tx: Tx, payment: MixinPayment) -> None:
        """Write its state, attempt and end."""
        ...

    async def largest(
        self, tx: Tx, asset_id: str, count: int, *, for_return: bool = False
    ) -> list[OwnOutput]:
        """Outputs that may be spent, largest first; for a return only what is in no books."""
        ...

    async def oldest(
        self, tx: Tx, asset_id: str, count: int, *, for_return: bool = False
    ) -> list[OwnOutput]:
        """Outputs that may be spent, oldest first; for a return only what is in no books."""
        ...

    async def total(self, tx: Tx, asset_id: str, *, for_return: bool = False) -> int:
        """Units of all outputs that may be spent."""
        ...

    async def outputs_at(self, tx: Tx, places: Sequence[tuple[str, int]]) -> list[OwnOutput]:
        """The outputs at (hash, index), in the order asked."""
        ...

    async def reserve(self, tx: Tx, output_ids: Sequence[str], by: str) -> None:
        """Take unspent outputs for the transaction of this hash; InvariantBroken if taken."""
        ...

    async def release(self, tx: Tx, by: str) -> None:
        """What is reserved for this hash may be spent again."""
        ...

    async def spent(self, tx: Tx, output_ids: Sequence[str], by: str) -> None:
        """These were spent by the transaction of this hash."""
        ...

    async def add(self, tx: Tx, one: Journalled, now_us: int) -> None:
        """Journal a transaction."""
        ...

    async def alive(self, tx: Tx, payment: str) -> list[Journalled]:
        """Transactions of a payment that are not dead, in the order of journalling."""
        ...

    async def count(self, tx: Tx, payment: str) -> int:
        """How many transactions a payment has ever had."""
        ...

    async def stages(self, tx: Tx, request_ids: Sequence[str]) -> list[TransactionStage]:
        """How far these have come; locks their rows."""
        ...

    async def signed(self, tx: Tx, request_id: str, raw: bytes) -> None:
        """Journal the signed bytes of a built transaction, before they are sent."""
        ...

    async def stage(
        self, tx: Tx, request_id: str, stage: TransactionStage, reason: str = ""
    ) -> None:
        """A transaction has come so far; what is dead or spent stays so."""
        ...

    async def report(self, tx: Tx, incident: MixinIncident) -> None:
        """Keep an incident; the same one is kept once."""
        ...


class MixinOutgoingGate(Protocol):
    """Whether money may leave now: a freeze closes it."""

    async def may_send(self, tx: Tx) -> bool:
        """Whether what is journalled and not sent may be sent."""
        ...


class Walks(Protocol):
    """Who brings the kept outputs up to date."""

    async def walk(self) -> int:
        """Keep and judge every new output; how many there were."""
        ...
