"""What the story says on a terminal: one line per act, calm."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Final

from rich.console import Console
from rich.status import Status

from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.sandbox.story.model import ACTS, ActName

SENTENCES: Final[Mapping[ActName, str]] = {
    ActName.BEGIN: "worlds start: exchange, Mixin, chain, HuFi; an empty platform meets them",
    ActName.DEPOSIT: "{users} pay from their Mixin wallets by link",
    ActName.STRANGER: "{user} pays with a memo that he mistyped and gets it back",
    ActName.JOIN: "deposits travel to the exchange, {users} join the pool",
    ActName.CAMPAIGN: "HuFi launches a campaign, the platform joins before its first day",
    ActName.DAY_ONE: "day one: the pool quotes and is filled, {user} pays in, too",
    ActName.PAUSE: "{user} pauses and comes back",
    ActName.REWARD_ONE: "day one's reward arrives on chain, goes to Mixin and to its owners",
    ActName.LEAVE: "{user} leaves with everything, to the Mixin wallet",
    ActName.DAY_TWO: "day two: the pool quotes on",
    ActName.REWARD_TWO: "day two's reward, also to {user}, who has left",
    ActName.SETTLE: "takers rest, what is on its way lands",
    ActName.JUDGE: "a judge that knows nothing of us counts and compares everything",
}
_NUMBER_WIDTH: Final = 7


class Teller:
    """Says each act when it begins and when it ended; a moving line only on a terminal."""

    def __init__(self, clock: Clock, *, on_stderr: bool) -> None:
        self._clock = clock
        self._console = Console(stderr=on_stderr, highlight=False, soft_wrap=True)
        self._status: Status | None = None
        self._line = ""
        self._since_us = 0

    def begin(self, act: ActName, facts: Mapping[str, str]) -> None:
        """An act begins."""
        number = f"{ACTS.index(act) + 1}/{len(ACTS)}".ljust(_NUMBER_WIDTH)
        self._line = f"{number}{SENTENCES[act].format_map(facts)}"
        self._since_us = self._clock.monotonic_us()
        if self._console.is_terminal:
            self._status = self._console.status(self._line, spinner="dots")
            self._status.start()
        else:
            self._console.print(self._line, markup=False)

    def aside(self, sentence: str) -> None:
        """Something that happens beside the act."""
        self._console.print(f"       {sentence}", markup=False)

    def progress(self, sentence: str) -> None:
        """How the act is doing; shown only where it can be replaced."""
        if self._status is not None:
            self._status.update(f"{self._line}  [dim]{sentence}[/dim]")

    def end(self, sentence: str = "") -> None:
        """The act ended well."""
        tenths = (self._clock.monotonic_us() - self._since_us) * 10 // SECOND_US
        took = f"{tenths // 10}.{tenths % 10} s"
        said = f"{sentence}, {took}" if sentence else took
        if self._status is not None:
            self._hush()
            self._console.print(f"[green]✔[/green] {self._line}  [dim]{said}[/dim]")
        else:
            self._console.print(f"       {said}", markup=False)

    def say(self, sentence: str) -> None:
        """A line of its own."""
        self._hush()
        self._console.print(sentence, markup=False)

    def complain(self, sentence: str) -> None:
        """What went wrong, on standard error."""
        self._hush()
        sys.stderr.write(f"poolmaker demo: {sentence}\n")
        sys.stderr.flush()

    def _hush(self) -> None:
        if self._status is not None:
            self._status.stop()
            self._status = None
