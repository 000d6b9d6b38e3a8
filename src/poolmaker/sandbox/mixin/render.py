"""Records as the API writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from poolmaker.mixin.codec.amounts import to_short_text
from poolmaker.mixin.codec.encoding import to_base64url
from poolmaker.mixin.codec.ids import blake3, kernel_asset_id, members_hash, output_id
from poolmaker.sandbox.mixin import refusals
from poolmaker.sandbox.mixin.catalog import Asset
from poolmaker.sandbox.mixin.model import (
    Entry,
    Held,
    MixinDeposit,
    MixinPerson,
    MixinWithdrawal,
    Request,
    Snapshot,
)
from poolmaker.sandbox.mixin.world import Locks, MixinNetwork

Json = dict[str, Any]
NEVER: Final = "0001-01-01T00:00:00Z"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def instant(time_us: int) -> str:
    """RFC 3339 with nanoseconds; the API's own nothing for 0."""
    if not time_us:
        return NEVER
    at = _EPOCH + timedelta(microseconds=time_us)
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond:06d}000Z"


def read_instant(text: str) -> int:
    """Microseconds of an RFC 3339 text."""
    try:
        at = datetime.fromisoformat(text)
        return (at - _EPOCH) // timedelta(microseconds=1)
    except (ValueError, TypeError):
        raise refusals.bad_field("offset") from None


def kernel_id(asset_id: str) -> str:
    """What the network calls an asset."""
    return kernel_asset_id(asset_id).hex()


def output(held: Held) -> Json:
    """An output."""
    said: Json = {
        "type": "kernel_output",
        "output_id": output_id(held.hash, held.index),
        "transaction_hash": held.hash,
        "output_index": held.index,
        "asset": kernel_id(held.asset_id),
        "asset_id": held.asset_id,
        "kernel_asset_id": kernel_id(held.asset_id),
        "amount": to_short_text(held.units),
        "mask": held.mask.hex(),
        "keys": [key.hex() for key in held.keys],
        "senders": list(held.senders),
        "senders_hash": members_hash(held.senders) if held.senders else "",
        "senders_threshold": 1 if held.senders else 0,
        "receivers": list(held.receivers),
        "receivers_hash": members_hash(held.receivers),
        "receivers_threshold": held.threshold,
        "extra": held.extra,
        "state": str(held.state),
        "sequence": held.sequence,
        "request_id": held.request_id,
        "signers": list(held.receivers) if held.signed_by else [],
        "signed_by": held.signed_by,
        "created_at": instant(held.created_us),
        "updated_at": instant(max(held.created_us, held.signed_us, held.spent_us)),
        "signed_at": instant(held.signed_us),
        "spent_at": instant(held.spent_us),
    }
    return said | ({"deposit": deposit_of(held.deposit)} if held.deposit else {})


def deposit_of(found: MixinDeposit) -> Json:
    """Where value came from."""
    return {
        "deposit_hash": found.tx_id,
        "deposit_index": found.index,
        "sender": found.sender,
        "destination": found.destination,
        "tag": found.tag,
    }


def pending(world: MixinNetwork, found: MixinDeposit) -> Json:
    """A deposit on its way."""
    chain = world.assets[found.asset_id].chain
    return {
        "type": "deposit",
        "deposit_id": found.deposit_id,
        "transaction_hash": found.tx_id,
        "output_index": found.index,
        "amount": to_short_text(found.units),
        "asset_id": found.asset_id,
        "kernel_asset_id": kernel_id(found.asset_id),
        "chain_id": chain.chain_id,
        "destination": found.destination,
        "tag": found.tag,
        "sender": found.sender,
        "confirmations": found.confirmations,
        "threshold": chain.confirmations,
        "state": "confirmed" if found.is_credited else "pending",
        "created_at": instant(found.created_us),
        "updated_at": instant(found.created_us),
    }


def entry(found: Entry) -> Json:
    """A deposit address."""
    return {
        "type": "deposit_entry",
        "entry_id": found.entry_id,
        "chain_id": found.chain_id,
        "members": list(found.members),
        "threshold": found.threshold,
        "destination": found.destination,
        "tag": "",
        "signature": to_base64url(blake3(found.destination.encode())),
        "is_primary": True,
    }


def snapshot(found: Snapshot) -> Json:
    """What happened to a user."""
    said: Json = {
        "type": "snapshot",
        "snapshot_id": found.snapshot_id,
        "user_id": found.user_id,
        "opponent_id": found.opponent_id,
        "transaction_hash": found.hash,
        "asset_id": found.asset_id,
        "kernel_asset_id": kernel_id(found.asset_id),
        "amount": ("-" if found.units < 0 else "") + to_short_text(abs(found.units)),
        "memo": found.memo,
        "request_id": found.request_id,
        "created_at": instant(found.time_us),
        "level": 11,
    }
    if found.deposit is not None:
        said["deposit"] = deposit_of(found.deposit)
    if found.withdrawal is not None:
        said["withdrawal"] = withdrawal_of(found.withdrawal)
    return said


def withdrawal_of(found: MixinWithdrawal) -> Json:
    """Where value went; the hash is empty until it is there."""
    return {"withdrawal_hash": found.tx_id, "receiver": found.destination}


def lock(found: Locks) -> Json:
    """One-time keys."""
    return {
        "type": "ghost_key",
        "mask": found.mask.hex(),
        "keys": [key.hex() for key in found.keys],
    }


def request(world: MixinNetwork, found: Request) -> Json:
    """A transaction under its request id."""
    sender = found.person.user_id
    is_spent = bool(found.snapshot_us)
    return {
        "type": "kernel_transaction_request",
        "request_id": found.request_id,
        "transaction_hash": found.hash,
        "asset": kernel_id(found.asset_id),
        "asset_id": found.asset_id,
        "kernel_asset_id": kernel_id(found.asset_id),
        "amount": to_short_text(found.tx.outputs[0].units),
        "extra": found.tx.extra.hex(),
        "user_id": sender,
        "state": str(found.state),
        "raw_transaction": found.raw,
        "created_at": instant(found.created_us),
        "updated_at": instant(found.updated_us or found.created_us),
        "snapshot_id": found.snapshot_id,
        "snapshot_hash": blake3(bytes.fromhex(found.hash)).hex() if is_spent else "",
        "snapshot_at": instant(found.snapshot_us),
        "receivers": _receivers(world, found),
        "senders": [sender],
        "senders_hash": members_hash([sender]),
        "senders_threshold": 1,
        "signers": [sender] if found.updated_us else [],
        "views": list(found.views),
    }


def _receivers(world: MixinNetwork, found: Request) -> list[Json]:
    said = []
    for one in found.tx.outputs:
        known = world.books.locks_by_mask.get(one.mask)
        members = list(known.receivers) if known else []
        leaving = one.withdrawal
        said.append(
            {
                "members": members,
                "members_hash": members_hash(members) if members else "",
                "threshold": one.threshold,
                "destination": leaving.address if leaving else "",
                "tag": leaving.tag if leaving else "",
                "withdrawal_hash": found.withdrawal.tx_id if leaving and found.withdrawal else "",
            }
        )
    return said


def asset(found: Asset) -> Json:
    """An asset."""
    return {
        "type": "safe_asset",
        "asset_id": found.asset_id,
        "chain_id": found.chain.chain_id,
        "symbol": found.symbol,
        "display_symbol": found.symbol,
        "name": found.name,
        "display_name": found.name,
        "icon_url": "",
        "price_btc": "0",
        "price_usd": found.price_usd,
        "change_btc": "0",
        "change_usd": "0",
        "asset_key": found.asset_key,
        "precision": found.precision,
        "dust": "0.0001",
        "confirmations": found.chain.confirmations,
        "kernel_asset_id": found.kernel_id,
        "fee_asset_id": found.chain.chain_id,
        "price_updated_at": NEVER,
    }


def chain(found: Asset) -> Json:
    """The chain whose own coin this is."""
    return {
        "type": "chain",
        "chain_id": found.chain.chain_id,
        "name": found.chain.name,
        "symbol": found.symbol,
        "icon_url": "",
        "managed_block_height": "0",
        "deposit_block_height": "0",
        "external_block_height": "0",
        "threshold": found.chain.confirmations,
        "withdrawal_timestamp": NEVER,
        "withdrawal_pending_count": "0",
        "withdrawal_fee": to_short_text(found.fees[found.asset_id]),
        "is_synchronized": True,
    }


def fees(found: Asset) -> list[Json]:
    """What withdrawing costs, the asset itself first."""
    return [
        {
            "type": "withdrawal_fee",
            "asset_id": asset_id,
            "amount": to_short_text(units),
            "priority": number,
        }
        for number, (asset_id, units) in enumerate(found.fees.items(), start=1)
    ]


def user(found: MixinPerson) -> Json:
    """What everybody may know of somebody."""
    return {
        "type": "user",
        "user_id": found.user_id,
        "identity_number": found.identity_number,
        "phone": "",
        "full_name": found.name,
        "biography": "",
        "avatar_url": "",
        "relationship": "STRANGER",
        "mute_until": NEVER,
        "created_at": instant(found.created_us),
        "is_verified": False,
        "is_scam": False,
        "has_safe": True,
    }


def me(found: MixinPerson, server_key: bytes) -> Json:
    """What somebody may know of himself."""
    return user(found) | {
        "session_id": found.session_id,
        "relationship": "ME",
        "pin_token": to_base64url(server_key),
        "pin_token_base64": to_base64url(server_key),
        "has_pin": True,
        "tip_counter": 1,
        "tip_key_base64": to_base64url(found.keys.spend),
        "spend_public_key": found.keys.spend.hex(),
        "is_deactivated": False,
        "fiat_currency": "USD",
        "transfer_notification_threshold": 0,
        "transfer_confirmation_threshold": 100,
    }
