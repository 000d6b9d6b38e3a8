"""What a payment says of itself, for the rooms that wait for one."""

from __future__ import annotations

from poolmaker.messages.base import Message


class PaymentNames(Message, frozen=True, kw_only=True):
    """Its trace, its memo, who paid, and when (microseconds since the Unix epoch)."""

    trace: str = ""
    memo: bytes = b""
    sender: str = ""
    at_us: int = 0
