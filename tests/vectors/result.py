"""What one run over a file of vectors found."""

from __future__ import annotations

from typing import Any

import msgspec

Json = dict[str, Any]


class VectorResult(msgspec.Struct):
    """Counts and the failures, each with the case and what differs."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0
    declined: int = 0
    failures: list[Json] = msgspec.field(default_factory=list)
    reasons: dict[str, int] = msgspec.field(default_factory=dict)

    def judge(self, case: str, expected: object, actual: object) -> None:
        """Count one case by equality of what it expects and what we gave."""
        if expected == actual:
            self.passed += 1
        else:
            self.failed += 1
            self.failures.append({"case": case, "expected": expected, "actual": actual})

    def skip(self, reason: str) -> None:
        """Count one case that this project does not need yet, with the reason."""
        self.skipped += 1
        self.reasons[reason] = self.reasons.get(reason, 0) + 1

    def decline(self, decision: str) -> None:
        """Count one case that a decision record decides against."""
        self.declined += 1
        self.reasons[decision] = self.reasons.get(decision, 0) + 1
