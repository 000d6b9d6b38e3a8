"""Messages: kept for whom they are, sent again until he says that he has read them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from poolmaker.mixin.codec.encoding import Malformed, from_base64url, to_base64, to_base64url
from poolmaker.mixin.codec.ids import check_uuid, conversation_id, object_id
from poolmaker.mixin.codec.messages import MESSAGE_BYTES_MAX, MESSAGES_MAX
from poolmaker.sandbox.mixin import refusals
from poolmaker.sandbox.mixin.model import MixinPerson, Snapshot
from poolmaker.sandbox.mixin.render import instant, snapshot
from poolmaker.sandbox.mixin.world import MixinNetwork

INBOX_MAX: Final = 10_000
KNOWN_MAX: Final = 100_000
_PLAIN: Final = ("PLAIN_", "APP_", "MESSAGE_RECALL", "ENCRYPTED_")


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message in somebody's inbox."""

    message_id: str
    sender_id: str
    recipient_id: str
    category: str
    data: bytes
    time_us: int

    def shown(self) -> dict[str, Any]:
        """As Blaze sends it."""
        at = instant(self.time_us)
        return {
            "type": "message",
            "message_id": self.message_id,
            "conversation_id": conversation_id(self.sender_id, self.recipient_id),
            "user_id": self.sender_id,
            "representative_id": "",
            "quote_message_id": "",
            "session_id": "",
            "category": self.category,
            "data": to_base64(self.data),
            "data_base64": to_base64url(self.data),
            "status": "SENT",
            "source": "LIST_PENDING_MESSAGES",
            "silent": False,
            "expire_in": 0,
            "created_at": at,
            "updated_at": at,
        }


Listener = Callable[[Letter], None]


class Post:
    """All inboxes. An inbox is bounded: the oldest letter goes first."""

    def __init__(self, world: MixinNetwork) -> None:
        self._world = world
        self._inboxes: dict[str, dict[str, Letter]] = {}
        self._known: dict[str, Letter] = {}
        self.conversations: dict[str, dict[str, Any]] = {}
        self.on_letter: list[Listener] = []
        world.on_snapshot.append(self._notify)

    def pending(self, person: MixinPerson) -> list[Letter]:
        """What somebody has not acknowledged, oldest first."""
        return list(self._inboxes.get(person.user_id, {}).values())

    def acknowledge(self, person: MixinPerson, message_id: str) -> None:
        """He has it: it is not sent again."""
        self._inboxes.get(person.user_id, {}).pop(message_id, None)

    def send(self, sender: MixinPerson, body: Any) -> Letter:
        """Take one message as the API writes it; the same id again changes nothing."""
        letter = self._read(sender, body)
        known = self._known.get(letter.message_id)
        if known is not None:
            return known
        self.deliver(letter)
        return letter

    def deliver(self, letter: Letter) -> None:
        """Put a letter into its inbox and tell whoever listens."""
        self._known[letter.message_id] = letter
        if len(self._known) > KNOWN_MAX:
            del self._known[next(iter(self._known))]
        inbox = self._inboxes.setdefault(letter.recipient_id, {})
        inbox[letter.message_id] = letter
        if len(inbox) > INBOX_MAX:
            del inbox[next(iter(inbox))]
        for listener in self.on_letter:
            listener(letter)

    def _read(self, sender: MixinPerson, body: Any) -> Letter:
        if not isinstance(body, dict):
            raise refusals.bad_field("messages")
        fields = {name: body.get(name, "") for name in _FIELDS}
        if not all(isinstance(value, str) for value in fields.values()):
            raise refusals.bad_field("messages")
        recipient = self._world.person(fields["recipient_id"])
        if fields["conversation_id"] != conversation_id(sender.user_id, recipient.user_id):
            raise refusals.bad_field("conversation_id")
        if not fields["category"].startswith(_PLAIN):
            raise refusals.bad_field("category")
        if len(fields["data_base64"]) > MESSAGE_BYTES_MAX:
            raise refusals.bad_field("data_base64")
        try:
            check_uuid(fields["message_id"])
            data = from_base64url(fields["data_base64"])
        except Malformed:
            raise refusals.bad_field("message_id or data_base64") from None
        return Letter(
            message_id=fields["message_id"], sender_id=sender.user_id,
            recipient_id=recipient.user_id, category=fields["category"], data=data,
            time_us=self._world.time_us(),
        )  # fmt: skip

    def _notify(self, found: Snapshot) -> None:
        """Payments announce themselves as messages: hints, not truth."""
        self.deliver(
            Letter(
                message_id=object_id(found.snapshot_id, "NOTICE"),
                sender_id=found.opponent_id or found.user_id, recipient_id=found.user_id,
                category="SYSTEM_SAFE_SNAPSHOT", data=json.dumps(snapshot(found)).encode(),
                time_us=found.time_us,
            )
        )  # fmt: skip


_FIELDS: Final = ("message_id", "recipient_id", "conversation_id", "category", "data_base64")


def some(body: Any) -> list[Any]:
    """A list of at most 100 things, or the one thing."""
    found = body if isinstance(body, list) else [body]
    if not 1 <= len(found) <= MESSAGES_MAX:
        raise refusals.bad_field("messages")
    return found
