"""The modules whose small mistakes would cost money, and the tests that must see them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tools.mutation.run import Target

_BUSINESS: Final = "tests/unit/business"
_MARKET: Final = "tests/unit/market"


def _of(room: str, modules: Sequence[str], *tests: str) -> tuple[Target, ...]:
    return tuple(Target(f"poolmaker.{room}.{name}", tests) for name in modules)


TARGETS: Final = (
    *_of("kernel", ("money",), "tests/property/test_kernel_money.py"),
    *_of(
        "business.ledger.rules",
        (
            *("books", "dealing", "draft", "facts", "joins", "moves", "pools", "requests"),
            *("resolving", "shares", "unowned"),
        ),
        f"{_BUSINESS}/ledger",
        "tests/property/test_ledger_books.py",
    ),
    *_of("business.pools", ("rules",), f"{_BUSINESS}/pools/test_rules.py"),
    *_of(
        "business.rewards",
        ("rules",),
        f"{_BUSINESS}/rewards/test_rules.py",
        "tests/property/test_reward_split.py",
    ),
    *_of("business.campaigns", ("rules",), f"{_BUSINESS}/campaigns/test_rules.py"),
    *_of("business.treasury", ("rules", "decisions"), f"{_BUSINESS}/treasury/test_rules.py"),
    *_of("business.user_orders", ("rules",), f"{_BUSINESS}/user_orders/test_rules.py"),
    *_of(
        "recon",
        ("rules", "custody"),
        "tests/unit/recon/test_rules.py",
        "tests/unit/recon/test_custody.py",
    ),
    *_of("hufi", ("rules",), "tests/unit/hufi/test_rules.py"),
    *_of("hufi", ("verdicts",), "tests/unit/hufi/test_verdicts.py"),
    *_of(
        "mixin",
        ("rules",),
        "tests/unit/mixin/test_client_rules.py",
        "tests/unit/mixin/test_payment_rules.py",
    ),
    *_of("mixin", ("return_rules",), "tests/unit/mixin/test_return_rules.py"),
    *_of("evm", ("rules",), "tests/unit/evm/test_rules.py", "tests/unit/evm/test_gate.py"),
    *_of("infra", ("leases",), "tests/unit/infra/test_leases.py"),
    *_of("market.execution", ("rules", "client_ids", "throttle"), f"{_MARKET}/execution"),
    *_of("market.engine", ("prices",), f"{_MARKET}/engine/test_prices.py"),
    *_of("market.engine", ("outcomes",), f"{_MARKET}/engine/test_tick.py"),
    *_of(
        "market.tracking",
        ("shadow", "rules"),
        f"{_MARKET}/tracking/test_shadow.py",
        "tests/property/test_shadow_order.py",
    ),
    *_of("market.tracking", ("account_stream",), f"{_MARKET}/tracking/test_account_stream.py"),
    *_of(
        "market.tracking",
        ("book", "mid_average"),
        f"{_MARKET}/tracking/test_book.py",
        "tests/property/test_book_sequences.py",
    ),
)
