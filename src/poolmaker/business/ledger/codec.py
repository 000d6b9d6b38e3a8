"""Commands as bytes: what may enter the ledger at all."""

from __future__ import annotations

import re
from typing import Any, Final, get_args

import msgspec

from poolmaker.business.ledger.commands import Command
from poolmaker.business.ledger.model import PendingCommand
from poolmaker.business.ledger.proposal import EncodedCommand
from poolmaker.kernel.checks import require
from poolmaker.kernel.errors import PreconditionError
from poolmaker.kernel.ids import VenueAccountId, content_hash
from poolmaker.messages.base import decode, encode
from poolmaker.messages.market import account_stream

_COMMAND: Final[Any] = Command
_BODY_BYTES_MAX: Final = 16_384
_STREAM_FACTS: Final = frozenset({"fill", "fee"})
"""How keys of facts begin that have their place in the stream of an account."""
# Names become parts of account codes and keys, which are indexed: control characters and long
# strings are stopped here, where nothing has happened yet.
_UNFIT: Final = re.compile(rb'\\u00|"[^"]{201,}"')


def encode_command(command: Command) -> EncodedCommand:
    """A command with its canonical body. Raises CallerFault for one that cannot be stored."""
    require(isinstance(command, get_args(_COMMAND)), f"not a command: {type(command).__name__}")
    body = encode(command)
    name = repr(command.key[:80])
    require(command.key, "key: expected a text")
    require(len(body) <= _BODY_BYTES_MAX, f"{name}: the command is too long")
    require(_UNFIT.search(body) is None, f"{name}: a text in it is not fit for a name")
    return EncodedCommand(command, body, content_hash(body))


def decode_command(body: bytes) -> Command:
    """The command that a stored body says. Raises CallerFault when it says none."""
    command: Command = decode(body, _COMMAND)
    return command


def streams_of(row: PendingCommand) -> frozenset[str] | None:
    """Streams that a row belongs to that cannot be read; None where it may be of any.

    A fact's key names its account; what its body still says of a stream counts, too.
    """
    kind, _, names = row.key.partition(":")
    account = names.partition(":")[0].replace("%3A", ":").replace("%25", "%")
    streams = {account_stream(VenueAccountId(account))} if kind in _STREAM_FACTS else set()
    try:
        said = msgspec.json.decode(row.body)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        said = None
    if isinstance(said, dict) and isinstance(said.get("stream"), str):
        streams.add(said["stream"])
    return frozenset(streams) if streams or isinstance(said, dict) else None


def read_row(row: PendingCommand) -> EncodedCommand | None:
    """The command of a row, or None for a row that no client of ours can have written."""
    try:
        asked = encode_command(decode_command(row.body))
    except PreconditionError:
        return None
    if asked.body != row.body or asked.command.key != row.key:
        return None
    return EncodedCommand(asked.command, asked.body, asked.body_hash, row.row)
