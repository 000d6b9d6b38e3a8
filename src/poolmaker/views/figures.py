"""How a figure is written for a person: pure functions from exact decimal texts to shown texts."""

from __future__ import annotations

from typing import Final

from poolmaker.kernel.money import format_units, parse_units

_SCALE: Final = 18
_PPM_DECIMALS: Final = 4
_NOT_ZERO: Final = "123456789"


def grouped(text: str) -> str:
    """``1234567.8`` as ``1,234,567.8``."""
    sign = "-" if text.startswith("-") else ""
    whole, point, fraction = text.removeprefix("-").partition(".")
    return f"{sign}{int(whole):,}{point}{fraction}"


def shown(text: str, decimals: int) -> str:
    """A decimal text with exactly ``decimals`` decimals, cut towards zero and grouped.

    Cutting never shows more than there is. What is not zero but cuts to zero keeps its first
    digit that counts, so that a small difference is never shown as none.
    """
    whole, _, fraction = text.partition(".")
    kept = fraction[:decimals].ljust(decimals, "0")
    cut = f"{whole}.{kept}" if decimals else whole
    if not _counts(cut):
        first = next((i for i, digit in enumerate(fraction) if digit in _NOT_ZERO), None)
        cut = cut if first is None else f"{whole}.{fraction[: first + 1]}"
    if not _counts(cut):
        cut = cut.removeprefix("-")
    return grouped(cut)


def _counts(text: str) -> bool:
    return any(digit in _NOT_ZERO for digit in text)


def trimmed(text: str) -> str:
    """The exact text without the zeros at its end."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def signed(text: str) -> str:
    """A text, shown or exact, with a plus before what is above zero."""
    above = not text.startswith("-") and _counts(text)
    return f"+{text}" if above else text


def is_zero(text: str) -> bool:
    """Whether a decimal text says zero."""
    return parse_units(text, _SCALE) == 0


def percent(ppm: int, decimals: int = 2) -> str:
    """Parts per million as per cent, without the sign of per cent, rounded half away from zero."""
    step = 10 ** (_PPM_DECIMALS - decimals)
    half = step // 2
    units = (abs(ppm) + half) // step
    return format_units(-units if ppm < 0 else units, decimals)


def duration(duration_us: int) -> str:
    """``mm:ss``, or ``h:mm:ss`` from an hour on."""
    seconds = max(0, duration_us) // 1_000_000
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


def clock_time(at_us: int) -> str:
    """The time of day in UTC, ``hh:mm:ss``."""
    seconds = at_us // 1_000_000 % 86_400
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def share_ppm(part: str, whole: str) -> int:
    """``part`` of ``whole`` in parts per million; 0 where the whole is not above zero."""
    total = parse_units(whole, _SCALE)
    return parse_units(part, _SCALE) * 1_000_000 // total if total > 0 else 0


def added(texts: list[str]) -> str:
    """The exact sum of decimal texts, without zeros at the end."""
    return trimmed(format_units(sum(parse_units(text, _SCALE) for text in texts), _SCALE))
