"""Memos as Mixin's codec writes them: how a payment without a link names its deposit intent."""

from __future__ import annotations

from poolmaker.kernel.errors import PreconditionError
from poolmaker.mixin.codec.memos import DepositAction, DepositMemo, parse_deposit_memo


class MixinMemos:
    """``DepositMemos`` of the room of user orders."""

    def write(self, intent: bytes) -> bytes:
        return str(DepositMemo(DepositAction.LEG, intent)).encode()

    def read(self, memo: bytes) -> bytes | None:
        """What does not parse is somebody else's, whatever it is."""
        try:
            found = parse_deposit_memo(memo.decode("ascii"))
        except (PreconditionError, UnicodeDecodeError):
            return None
        return found.intent_id if found.action is DepositAction.LEG else None
