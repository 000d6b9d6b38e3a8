"""The API's calls as functions of values."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from poolmaker.kernel.errors import OutcomeUnknown, Unavailable
from poolmaker.mixin import wire
from poolmaker.mixin.api import MixinApi
from poolmaker.mixin.codec.ids import members_hash, user_snapshot_id
from poolmaker.mixin.codec.keys import GhostKeys
from poolmaker.mixin.model import (
    DepositAddress,
    Fee,
    LockWanted,
    MixinRefused,
    MixinUser,
    SeenOutput,
    SeenRequest,
    SeenSnapshot,
)
from poolmaker.mixin.wire import Unreadable, read

T = TypeVar("T")
PAGE: Final = 500
NOT_FOUND: Final = 404
_AROUND_US: Final = 60_000_000
_PAGES_MAX: Final = 20


class SafeClient:
    """``ports.Safe`` over the API. ``app_id`` is the bot."""

    def __init__(self, api: MixinApi, app_id: str) -> None:
        self._api = api
        self._app_id = app_id
        self._members = {"members": members_hash([app_id]), "threshold": "1"}

    async def outputs(self, since: int, *, asset_id: str = "", state: str = "") -> list[SeenOutput]:
        query = self._members | {"offset": str(since), "limit": str(PAGE), "order": "ASC"}
        query |= {"asset": asset_id} if asset_id else {}
        query |= {"state": state} if state else {}
        return await self._read(wire.outputs, "/safe/outputs", query)

    async def output(self, output_id: str) -> SeenOutput:
        return await self._read(wire.output, f"/safe/outputs/{output_id}")

    async def receipt(self, one: SeenOutput) -> SeenSnapshot | None:
        """Its id is how the mobile apps count; others are looked for."""
        name = user_snapshot_id(self._app_id, one.transaction_hash)
        try:
            return await self._read(wire.snapshot, f"/safe/snapshots/{name}")
        except MixinRefused as refused:
            if refused.error != NOT_FOUND:
                raise
        return await self._look_for(one)

    async def _look_for(self, one: SeenOutput) -> SeenSnapshot | None:
        """The receipt among the snapshots around the output's time."""
        since = wire.instant_text(max(0, one.created_us - _AROUND_US))
        for _ in range(_PAGES_MAX):
            query = {"asset": one.asset_id, "offset": since, "limit": str(PAGE), "order": "ASC"}
            page = await self._read(wire.snapshots, "/safe/snapshots", query)
            for seen in page:
                if seen.transaction_hash == one.transaction_hash and seen.is_receipt:
                    return seen
            # A page of one instant leads no further.
            if len(page) < PAGE or page[-1].created_at == since:
                return None
            since = page[-1].created_at
        return None

    async def snapshot(self, snapshot_id: str) -> SeenSnapshot:
        return await self._read(wire.snapshot, f"/safe/snapshots/{snapshot_id}")

    async def fees(self, asset_id: str, destination: str) -> list[Fee]:
        query = {"destination": destination}
        return await self._read(wire.fees, f"/safe/assets/{asset_id}/fees", query)

    async def check_address(self, asset_id: str, destination: str, tag: str) -> None:
        query = {"asset": asset_id, "destination": destination, "tag": tag}
        await self._read(lambda _: None, "/external/addresses/check", query)

    async def locks(self, wanted: Sequence[LockWanted]) -> list[GhostKeys]:
        body = [{"receivers": [o.receiver], "index": o.index, "hint": o.hint} for o in wanted]
        found = await self._made(wire.locks, "/safe/keys", body)
        if len(found) != len(wanted) or any(len(one.keys) != 1 for one in found):
            raise Unavailable("one-time keys: not one for each that was asked for")
        return found

    async def bind(self, batch: Sequence[tuple[str, bytes]]) -> list[SeenRequest]:
        return await self._transactions("/safe/transaction/requests", batch)

    async def submit(self, batch: Sequence[tuple[str, bytes]]) -> list[SeenRequest]:
        return await self._transactions("/safe/transactions", batch)

    async def request(self, request_id: str) -> SeenRequest | None:
        try:
            return await self._read(wire.request, f"/safe/transactions/{request_id}")
        except MixinRefused as refused:
            if refused.error != NOT_FOUND:
                raise
            return None

    async def chain_of(self, asset_id: str) -> str:
        return await self._read(wire.chain_of, f"/safe/assets/{asset_id}")

    async def deposit_address(self, chain_id: str) -> DepositAddress:
        body = {"members": [self._app_id], "threshold": 1, "chain_id": chain_id}
        return await self._made(wire.deposit_address, "/safe/deposit/entries", body)

    async def user(self, user_id: str) -> MixinUser | None:
        try:
            return await self._read(wire.user, f"/users/{user_id}")
        except MixinRefused as refused:
            if refused.error != NOT_FOUND:
                raise
            return None

    async def _transactions(
        self, path: str, batch: Sequence[tuple[str, bytes]]
    ) -> list[SeenRequest]:
        body = [{"request_id": name, "raw": raw.hex()} for name, raw in batch]
        found = await self._write(wire.requests, path, body)
        if [one.request_id for one in found] != [name for name, _ in batch]:
            raise OutcomeUnknown(f"{path}: answered for other requests than were sent")
        return found

    async def _read(
        self, reader: Callable[[Any], T], path: str, query: dict[str, str] | None = None
    ) -> T:
        try:
            return read(await self._api.get(path, query), reader)
        except Unreadable as problem:
            raise Unavailable(f"GET {path}: {problem}") from problem

    async def _write(self, reader: Callable[[Any], T], path: str, body: object) -> T:
        try:
            return read(await self._api.post(path, body), reader)
        except Unreadable as problem:
            raise OutcomeUnknown(f"POST {path}: {problem}") from problem

    async def _made(self, reader: Callable[[Any], T], path: str, body: object) -> T:
        """A POST that makes the same thing however often it is asked: doubt is no matter."""
        try:
            return await self._write(reader, path, body)
        except OutcomeUnknown as problem:
            raise Unavailable(str(problem)) from problem
