"""Memos of a simulated world: the intent behind a word, so that anything else is none of ours."""

from __future__ import annotations

from typing import Final

_WORD: Final = b"deposit "
_INTENT_BYTES: Final = 16


class PlainMemos:
    """``DepositMemos`` without the codec of Mixin."""

    def write(self, intent: bytes) -> bytes:
        return _WORD + intent

    def read(self, memo: bytes) -> bytes | None:
        intent = memo.removeprefix(_WORD)
        ours = memo.startswith(_WORD) and len(intent) == _INTENT_BYTES
        return intent if ours else None
