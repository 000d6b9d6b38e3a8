"""The modules whose small mistakes would cost money, and the tests that must see them."""

from __future__ import annotations

from typing import Final

from tools.mutation.run import Target

_LEDGER: Final = tuple(
    f"tests/unit/business/ledger/test_{name}.py" for name in ("facts", "moves", "pools", "requests")
)


def _rules(room: str, *tests: str) -> Target:
    return Target(f"poolmaker.{room}", tests)


TARGETS: Final = (
    _rules("kernel.money", "tests/property/test_kernel_money.py"),
    *(
        _rules(f"business.ledger.rules.{name}", *_LEDGER, "tests/property/test_ledger_books.py")
        for name in ("books", "facts", "moves", "pools", "requests", "shares", "unowned")
    ),
    _rules("business.pools.rules", "tests/unit/business/pools/test_rules.py"),
    _rules(
        "business.rewards.rules",
        "tests/unit/business/rewards/test_rules.py",
        "tests/property/test_reward_split.py",
    ),
    _rules("hufi.rules", "tests/unit/hufi/test_rules.py"),
    _rules("market.execution.rules", "tests/unit/market/execution/test_rules.py"),
    _rules(
        "market.tracking.shadow",
        "tests/unit/market/tracking/test_shadow.py",
        "tests/property/test_shadow_order.py",
    ),
    _rules(
        "market.tracking.book",
        "tests/unit/market/tracking/test_book.py",
        "tests/property/test_book_sequences.py",
    ),
)
