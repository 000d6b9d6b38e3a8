"""Parameters of a request: nothing unknown, nothing missing, nothing twice, nothing malformed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final, TypeVar
from urllib.parse import unquote_plus

import msgspec

from poolmaker.sandbox.venue import refusals
from poolmaker.sandbox.venue.refusals import WireRefusal
from poolmaker.sandbox.venue.units import DECIMAL_RANGE, BadDecimal, TooPrecise, to_units

CLIENT_ID_RANGE: Final = r"^[a-zA-Z0-9-_]{1,36}$"
SYMBOL_RANGE: Final = r"^[A-Z0-9-_.]{1,20}$"
INTEGER_RANGE: Final = r"^[0-9]{1,20}$"
SIGNED: Final = frozenset({"timestamp", "recvWindow", "signature"})
_CLIENT_ID = re.compile(r"[a-zA-Z0-9\-_]{1,36}")
_SYMBOL = re.compile(r"[A-Z0-9\-_.]{1,20}")
_INTEGER = re.compile(r"[0-9]{1,20}")

E = TypeVar("E", bound=StrEnum)


def split_form(raw: str) -> dict[str, str]:
    """Decode ``a=1&b=2``; the same name twice is refused."""
    found: dict[str, str] = {}
    for part in raw.split("&"):
        if not part:
            continue
        name, _, value = part.partition("=")
        name = unquote_plus(name)
        if name in found:
            raise WireRefusal(-1101, f"Duplicate values for parameter '{name}' detected.")
        found[name] = unquote_plus(value)
    return found


def split_json(raw: Mapping[str, msgspec.Raw]) -> dict[str, str]:
    """The parameters of a WebSocket request as the text that the client signed.

    Strings lose their quotes; numbers, booleans and lists stay exactly as they were sent.
    """
    found: dict[str, str] = {}
    for name, value in raw.items():
        text = bytes(value).decode()
        if text == "null":
            continue
        found[name] = msgspec.json.decode(text, type=str) if text.startswith('"') else text
    return found


class Params:
    """Typed access to one request's parameters; every refusal names the parameter."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values

    def check_names(
        self, required: Collection[str], optional: Collection[str], ignored: Collection[str]
    ) -> None:
        """Refuse what is missing, unknown or empty. ``ignored`` names were read by others."""
        sent = [name for name in self._values if name not in ignored]
        unknown = [name for name in sent if name not in required and name not in optional]
        if unknown and not required and not optional:
            raise WireRefusal(
                -1101, f"Too many parameters; expected '0' and received '{len(sent)}'."
            )
        for name in required:
            if not self._values.get(name):
                raise refusals.missing(name)
        for name in sent:
            if self._values[name] == "":
                raise WireRefusal(-1105, f"Parameter '{name}' was empty.")
        if unknown:
            total = len(self._values)
            raise WireRefusal(
                -1104,
                f"Not all sent parameters were read; read '{total - len(unknown)}' "
                f"parameter(s) but was sent '{total}'.",
            )

    def changed(self, changes: Mapping[str, str | None]) -> Params:
        """The same parameters with some replaced, or taken away where the change is None."""
        merged = {**self._values, **changes}
        return Params({name: value for name, value in merged.items() if value is not None})

    def has(self, name: str) -> bool:
        """Whether the parameter was sent."""
        return name in self._values

    def text(self, name: str) -> str | None:
        """The parameter as it was sent."""
        return self._values.get(name)

    def integer(self, name: str) -> int | None:
        """A non-negative whole number."""
        value = self._values.get(name)
        if value is None:
            return None
        if _INTEGER.fullmatch(value) is None:
            raise refusals.illegal(name, INTEGER_RANGE)
        return int(value)

    def limit(self, default: int, maximum: int) -> int:
        """The page size, cut to what the endpoint gives at most."""
        value = self.integer("limit")
        if value is None:
            return default
        if value < 1:
            raise WireRefusal(-1130, "Data sent for parameter 'limit' is not valid.")
        return min(value, maximum)

    def units(self, name: str) -> int | None:
        """A decimal number in units of 1e-8."""
        value = self._values.get(name)
        if value is None:
            return None
        try:
            return to_units(value)
        except BadDecimal:
            raise refusals.illegal(name, DECIMAL_RANGE) from None
        except TooPrecise:
            raise WireRefusal(-1111, f"Parameter '{name}' has too much precision.") from None

    def client_id(self, name: str) -> str | None:
        """A client order id."""
        value = self._values.get(name)
        if value is not None and _CLIENT_ID.fullmatch(value) is None:
            raise refusals.illegal(name, CLIENT_ID_RANGE)
        return value

    def symbol(self, name: str = "symbol") -> str | None:
        """A symbol by its form; whether it is listed is somebody else's question."""
        value = self._values.get(name)
        if value is not None and _SYMBOL.fullmatch(value) is None:
            raise refusals.illegal(name, SYMBOL_RANGE)
        return value

    def flag(self, name: str) -> bool:
        """A boolean, false when absent."""
        value = (self._values.get(name) or "false").lower()
        if value not in {"true", "false"}:
            raise WireRefusal(-1130, f"Data sent for parameter '{name}' is not valid.")
        return value == "true"

    def choice(self, name: str, kind: type[E], code: int, message: str) -> E | None:
        """A member of a closed list."""
        value = self._values.get(name)
        if value is None:
            return None
        try:
            return kind(value)
        except ValueError:
            raise WireRefusal(code, message) from None

    def symbols(self) -> list[str] | None:
        """A JSON list of symbols."""
        value = self._values.get("symbols")
        if value is None:
            return None
        try:
            found = msgspec.json.decode(value, type=list[str])
        except msgspec.DecodeError:
            raise refusals.illegal("symbols", r'^\["[A-Z0-9-_.]{1,20}"(,...)*\]$') from None
        if len(set(found)) != len(found):
            raise WireRefusal(-1151, "Symbol is present multiple times in the list.")
        return found
