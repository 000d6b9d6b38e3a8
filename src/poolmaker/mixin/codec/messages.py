"""Messages to and from users, and the gzip frames of Blaze that carry them."""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from poolmaker.mixin.codec.encoding import Malformed, demand, from_base64, from_base64url
from poolmaker.mixin.codec.encoding import to_base64url as _base64url
from poolmaker.mixin.codec.ids import check_uuid, conversation_id

SUBPROTOCOL: Final = "Mixin-Blaze-1"
HANDSHAKE_PATH: Final = "/"
MESSAGES_MAX: Final = 100
MESSAGE_BYTES_MAX: Final = 128 * 1024
FRAME_BYTES_MAX: Final = 1024 * 1024
BUTTONS_MAX: Final = 18
READ: Final = "READ"
_GZIP_WINDOW: Final = 31
_CATEGORY: Final = re.compile(r"[A-Z]+(?:_[A-Z]+)*")

Body = Mapping[str, Any]


class Action(StrEnum):
    """What a frame is about."""

    LIST_PENDING = "LIST_PENDING_MESSAGES"
    CREATE = "CREATE_MESSAGE"
    ACKNOWLEDGE = "ACKNOWLEDGE_MESSAGE_RECEIPT"
    ERROR = "ERROR"


class Category(StrEnum):
    """Kinds of messages that we send or understand."""

    TEXT = "PLAIN_TEXT"
    POST = "PLAIN_POST"
    CARD = "APP_CARD"
    BUTTONS = "APP_BUTTON_GROUP"
    RECALL = "MESSAGE_RECALL"
    SNAPSHOT = "SYSTEM_SAFE_SNAPSHOT"


TEXTUAL: Final = frozenset({Category.TEXT, Category.POST})


def encode_frame(body: Body) -> bytes:
    """A frame: gzip of JSON. The same body gives the same bytes."""
    packer = zlib.compressobj(wbits=_GZIP_WINDOW)
    return packer.compress(_json(body)) + packer.flush()


def decode_frame(frame: bytes) -> dict[str, Any]:
    """The body of a frame; Malformed when it is not one, or unpacks to more than 1 MiB."""
    unpacker = zlib.decompressobj(wbits=_GZIP_WINDOW)
    try:
        data = unpacker.decompress(frame, FRAME_BYTES_MAX)
        whole = unpacker.eof and not unpacker.unused_data
    except zlib.error:
        raise Malformed("frame: not gzip") from None
    demand(whole, "frame: cut, too long, or followed by something")
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        raise Malformed("frame: not JSON") from None
    demand(isinstance(body, dict), "frame: not an object")
    return dict(body)


def _json(body: Any) -> bytes:
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


def request_frame(frame_id: str, action: Action, params: Body | None = None) -> Body:
    """Something asked of Blaze; the answer carries the same id."""
    asked = {"id": frame_id, "action": str(action)}
    return asked if params is None else {**asked, "params": params}


def list_pending(frame_id: str) -> Body:
    """The first thing to say on Blaze: send what is waiting."""
    return request_frame(frame_id, Action.LIST_PENDING)


def acknowledge(frame_id: str, message_id: str, status: str = READ) -> Body:
    """Tell Blaze that a message need not be sent again."""
    params = {"message_id": message_id, "status": status}
    return request_frame(frame_id, Action.ACKNOWLEDGE, params)


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A message that came in; it may come again under the same id."""

    message_id: str
    conversation_id: str
    user_id: str
    category: str
    data: bytes
    source: str
    status: str

    def text(self) -> str:
        """The words of a textual message."""
        try:
            return self.data.decode()
        except UnicodeDecodeError:
            raise Malformed("message: not text") from None


def read_message(data: Body) -> Received:
    """A message of a frame's data; without a category it is only a receipt, which is refused."""
    texts = {name: data.get(name, "") for name in Received.__dataclass_fields__ if name != "data"}
    content = data.get("data_base64") or data.get("data") or ""
    typed = all(isinstance(value, str) for value in (*texts.values(), content))
    demand(typed, "message: a field that is not text")
    demand(texts["category"], "message: no category")
    check_uuid(texts["message_id"], "message id")
    encoded = from_base64url if data.get("data_base64") else from_base64
    return Received(data=encoded(content), **texts)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingMessage:
    """A message to a user; ``message_id`` makes sending it again harmless."""

    message_id: str
    sender_id: str
    recipient_id: str
    category: str
    data: bytes

    def body(self) -> dict[str, str]:
        """As the API takes it."""
        content = _base64url(self.data)
        demand(_CATEGORY.fullmatch(self.category), "message: a category that cannot be")
        demand(len(content) <= MESSAGE_BYTES_MAX, "message: too long")
        return {
            "category": str(self.category),
            "recipient_id": check_uuid(self.recipient_id, "recipient"),
            "conversation_id": conversation_id(self.sender_id, self.recipient_id),
            "message_id": check_uuid(self.message_id, "message id"),
            "data_base64": content,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Button:
    """A button that opens a link."""

    label: str
    color: str
    action: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A card that opens a link."""

    app_id: str
    title: str
    description: str
    action: str
    icon_url: str


def text_data(text: str) -> bytes:
    """The data of a textual message."""
    return text.encode()


def buttons_data(buttons: Sequence[Button]) -> bytes:
    """The data of a group of buttons."""
    demand(1 <= len(buttons) <= BUTTONS_MAX, f"buttons: expected 1 to {BUTTONS_MAX}")
    fields = ("label", "color", "action")
    return _json([{name: getattr(one, name) for name in fields} for one in buttons])


def card_data(card: Card) -> bytes:
    """The data of a card."""
    fields = ("app_id", "title", "description", "action", "icon_url")
    return _json({name: getattr(card, name) for name in fields})


def recall_data(message_id: str) -> bytes:
    """The data of taking a message back."""
    return _json({"message_id": check_uuid(message_id, "message id")})
