"""Fields of requests, checked one after another; all that is wrong is told at once."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from eth_utils.address import is_address, to_checksum_address

from poolmaker.sandbox.hufi.refusals import invalid
from poolmaker.sandbox.hufi.texts import camel, milliseconds, snake

CHAINS: Final = (1, 137, 11155111, 80002, 1338)
UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
SIGNATURE: Final = re.compile(r"0x[0-9a-fA-F]{130}")
_WHOLE: Final = re.compile(r"-?[0-9]{1,9}")


def snake_keys(value: object) -> object:
    """The same with keys as they stand on the wire, all the way down."""
    if isinstance(value, dict):
        return {snake(str(key)): snake_keys(inside) for key, inside in value.items()}
    if isinstance(value, list):
        return [snake_keys(inside) for inside in value]
    return value


class Fields:
    """Reads fields of a body or a query; ``done`` refuses when one was wrong."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = values
        self._errors: list[str] = []

    def done(self) -> None:
        """Raises HufiRefusal 400 with everything that was wrong."""
        if self._errors:
            raise invalid(self._errors)

    def blame(self, name: str, rest: str) -> None:
        """Note what is wrong with a field; messages name it in camel case."""
        self._errors.append(f"{camel(name)} {rest}")

    def text(self, name: str, length_max: int = 5_000) -> str:
        """A text that is not empty."""
        value = self._values.get(name)
        if not isinstance(value, str):
            self.blame(name, "must be a string")
            return ""
        if not value:
            self.blame(name, "should not be empty")
        if len(value) > length_max:
            self.blame(name, f"must be shorter than or equal to {length_max} characters")
        return value

    def matching(self, name: str, pattern: re.Pattern[str], what: str) -> str:
        """A text of a form."""
        value = self._values.get(name)
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            self.blame(name, what)
            return ""
        return value

    def address(self, name: str = "address") -> str:
        """A checksummed address."""
        value = self._values.get(name)
        if not isinstance(value, str) or not value.startswith("0x") or not is_address(value):
            self.blame(name, "must be an Ethereum address")
            return ""
        return str(to_checksum_address(value))

    def chain_id(self, *, is_optional: bool = False) -> int | None:
        """One of HuFi's networks."""
        value = self._values.get("chain_id")
        if value is None and is_optional:
            return None
        if isinstance(value, str) and _WHOLE.fullmatch(value):
            value = int(value)
        if value not in CHAINS or isinstance(value, bool):
            known = ", ".join(map(str, CHAINS))
            self.blame("chain_id", f"must be one of the following values: {known}")
            return None
        return int(value)

    def count(self, name: str, default: int, most: int | None = None) -> int:
        """A positive number from a query."""
        value = self._values.get(name)
        if value is None:
            return default
        if not isinstance(value, str) or _WHOLE.fullmatch(value) is None:
            self.blame(name, "must be a number conforming to the specified constraints")
            return default
        if int(value) < 1:
            self.blame(name, "must be a positive number")
        if most is not None and int(value) > most:
            self.blame(name, f"must not be greater than {most}")
        return int(value)

    def instant(self, name: str) -> int:
        """An ISO instant in milliseconds."""
        value = self._values.get(name)
        try:
            return milliseconds(value if isinstance(value, str) else "")
        except ValueError:
            self.blame(name, "must be a Date instance")
            return 0

    def choices(self, name: str, known: Sequence[str]) -> list[str]:
        """Repeated values of a closed set; none means all."""
        value = self._values.get(name, [])
        values = value if isinstance(value, list) else [value]
        if not all(one in known for one in values):
            self.blame(name, f"must be one of the following values: {', '.join(known)}")
            return []
        return list(values)

    def flag(self, name: str, default: bool) -> bool:  # noqa: FBT001 - a field's default
        """True or false."""
        value = self._values.get(name, default)
        if not isinstance(value, bool):
            self.blame(name, "must be a boolean value")
            return default
        return value

    def texts(self, name: str, default: list[str], accept: Callable[[str], bool]) -> list[str]:
        """A list of texts, each accepted."""
        value = self._values.get(name, default)
        good = isinstance(value, list) and all(
            isinstance(one, str) and accept(one) for one in value
        )
        if not good:
            self.blame(name, "has a value that is not known")
            return default
        return list(value)
