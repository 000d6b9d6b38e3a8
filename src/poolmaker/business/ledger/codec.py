"""Commands as bytes: what may enter the ledger at all."""

from __future__ import annotations

import re
from typing import Any, Final, get_args

from poolmaker.business.ledger.commands import Command
from poolmaker.business.ledger.model import PendingCommand
from poolmaker.business.ledger.proposal import Asked
from poolmaker.kernel.checks import require
from poolmaker.kernel.errors import CallerFault
from poolmaker.kernel.ids import content_hash
from poolmaker.messages.base import decode, encode

_COMMAND: Final[Any] = Command
_BODY_BYTES_MAX: Final = 16_384
# Names become parts of account codes and keys, which are indexed: control characters and long
# strings are stopped here, where nothing has happened yet.
_UNFIT: Final = re.compile(rb'\\u00|"[^"]{201,}"')


def encode_command(command: Command) -> Asked:
    """A command with its canonical body. Raises CallerFault for one that cannot be stored."""
    require(isinstance(command, get_args(_COMMAND)), f"not a command: {type(command).__name__}")
    body = encode(command)
    name = repr(command.key[:80])
    require(command.key, "key: expected a text")
    require(len(body) <= _BODY_BYTES_MAX, f"{name}: the command is too long")
    require(_UNFIT.search(body) is None, f"{name}: a text in it is not fit for a name")
    return Asked(command, body, content_hash(body))


def decode_command(body: bytes) -> Command:
    """The command that a stored body says. Raises CallerFault when it says none."""
    command: Command = decode(body, _COMMAND)
    return command


def read_row(row: PendingCommand) -> Asked | None:
    """The command of a row, or None for a row that no client of ours can have written."""
    try:
        asked = encode_command(decode_command(row.body))
    except CallerFault:
        return None
    if asked.body != row.body or asked.command.key != row.key:
        return None
    return Asked(asked.command, asked.body, asked.body_hash, row.row)
