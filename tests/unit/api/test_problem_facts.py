"""Every problem has its sentences, and is raised with the facts that they name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from string import Formatter
from typing import Final

import pytest
import typer

from poolmaker.api.problems import CATALOGUES
from poolmaker.business.ledger.model import LedgerRefusal
from poolmaker.business.rewards.model import RewardDecisionRefusal
from poolmaker.business.treasury.booking import StatementRefusal
from poolmaker.business.user_orders.model import OrderRefusal
from poolmaker.business.withdrawals.model import WithdrawRefusal
from poolmaker.cli.main import cli
from poolmaker.infra.approvals.model import ApprovalRefusal
from poolmaker.mixin.model import ReturnRefusal
from tests.tidy.tree import REPOSITORY

SOURCE: Final = REPOSITORY / "src" / "poolmaker"
RAISERS: Final = frozenset({"ApiProblem", "ActionRefused"})
PARTS: Final = ("happened", "money", "do")
LANGUAGES: Final = CATALOGUES.languages


def _values(*kinds: type[StrEnum], but: frozenset[str] = frozenset()) -> frozenset[str]:
    return frozenset(one.value for kind in kinds for one in kind) - but


LEDGER: Final = frozenset(
    {
        LedgerRefusal.SAME_KEY_DIFFERENT_CONTENT.value,
        LedgerRefusal.UNKNOWN_ASSET.value,
        LedgerRefusal.BAD_AMOUNT.value,
        LedgerRefusal.UNKNOWN_POOL.value,
        LedgerRefusal.UNKNOWN_ORDER.value,
        LedgerRefusal.POOL_MISMATCH.value,
        LedgerRefusal.UNKNOWN_TRANSACTION.value,
        LedgerRefusal.NOT_FUNDED.value,
        LedgerRefusal.INSUFFICIENT.value,
        LedgerRefusal.EQUITY_BELOW_ZERO.value,
    }
)
"""With what the ledger refuses commands of people; the rest is about joins and exits."""

# Refusals that the same function answers in a branch of its own.
_OWN_BRANCH: Final = frozenset({"no_wallet", "bad_amount", "wrong_state"})

CODES: Final[dict[tuple[str, str], frozenset[str]]] = {
    ("api/gate.py", "code"): frozenset({"unavailable", "outcome_unknown"}),
    ("api/routes_attention.py", "answer.value"): frozenset({"closes_by_evidence"}),
    ("api/routes_users.py", "answer.reason.value"): _values(ApprovalRefusal),
    ("api/server.py", "codes.get(status, 'invalid')"): frozenset(
        {"not_found", "method_not_allowed", "unsupported_media_type", "invalid"}
    ),
    ("api/server.py", "'method_not_allowed' if methods else 'not_found'"): frozenset(
        {"method_not_allowed", "not_found"}
    ),
    ("api/server.py", "code"): frozenset({"unavailable", "outcome_unknown"}),
    ("app/commands.py", "claim.reason.value"): _values(OrderRefusal, but=_OWN_BRANCH),
    ("app/commands.py", "found.reason.value"): _values(OrderRefusal, but=_OWN_BRANCH),
    ("app/commands.py", "answer.reason.value"): _values(OrderRefusal, but=_OWN_BRANCH),
    ("app/commands.py", "reason.value"): _values(WithdrawRefusal),
    ("app/interventions.py", "outcome.reason.value"): LEDGER,
    ("app/interventions.py", "found.value"): frozenset(
        {LedgerRefusal.UNKNOWN_TRANSACTION.value, LedgerRefusal.BEHIND_BARRIER.value}
    ),
    ("app/interventions.py", "command.value"): frozenset(
        {LedgerRefusal.UNKNOWN_TRANSACTION.value, LedgerRefusal.BEHIND_BARRIER.value}
    ),
    ("app/interventions.py", "answer.value"): _values(RewardDecisionRefusal),
    ("app/interventions.py", "refusal.value"): _values(RewardDecisionRefusal),
    ("app/outgoing.py", "problem"): frozenset(
        {"unknown_payment", "frozen", "not_pinned", "gas_at_its_cap"}
    ),
    ("app/treasury.py", "done.reason.value"): _values(ReturnRefusal),
    ("app/treasury.py", "booking.reason.value"): LEDGER | _values(StatementRefusal),
    ("app/treasury.py", "found.reason.value"): frozenset(
        {StatementRefusal.UNKNOWN_INCIDENT.value, StatementRefusal.NOT_SEEN_AGAIN.value}
    ),
    # A reversal and the bearing of a shortfall take their amounts from the books.
    ("app/treasury.py", "reason.value"): frozenset(
        {
            StatementRefusal.NOT_REVERSIBLE.value,
            StatementRefusal.UNKNOWN_INCIDENT.value,
            StatementRefusal.NOT_SEEN_AGAIN.value,
            StatementRefusal.DIFFERENCE_CHANGED.value,
            LedgerRefusal.UNKNOWN_TRANSACTION.value,
            LedgerRefusal.INSUFFICIENT.value,
            LedgerRefusal.EQUITY_BELOW_ZERO.value,
        }
    ),
}
"""What a code that is computed can be, by file and expression."""

_ASSET: Final = frozenset({"asset", "scale", "assets"})
FACTS: Final[dict[tuple[str, str], frozenset[str]]] = {
    ("api/calls.py", "facts"): frozenset({"approval_id", "requested_by"}),
    ("app/commands.py", "facts"): frozenset({"asset", "scale"}),
    ("app/outgoing.py", "self._scale(sent)"): frozenset({"asset", "scale"}),
}
"""What facts that are computed hold at least, by file and expression."""


@dataclass(frozen=True, slots=True)
class Site:
    """A place where a problem is raised or a refusal answered."""

    file: str
    line: int
    codes: frozenset[str]
    facts: frozenset[str]


def _name(func: ast.expr) -> str:
    return func.attr if isinstance(func, ast.Attribute) else getattr(func, "id", "")


def _codes(file: str, code: ast.expr) -> frozenset[str]:
    if isinstance(code, ast.Constant):
        return frozenset({str(code.value)})
    if (member := ast.unparse(code)).startswith("LedgerRefusal.") and member.endswith(".value"):
        return frozenset({LedgerRefusal[member.split(".")[1]].value})
    assert (file, ast.unparse(code)) in CODES, f"{file}: say what {ast.unparse(code)} can be"
    return CODES[file, ast.unparse(code)]


def _facts(file: str, facts: ast.expr | None) -> frozenset[str]:
    if facts is None:
        return frozenset()
    if isinstance(facts, ast.Dict):
        more = [one for key, one in zip(facts.keys, facts.values, strict=True) if key is None]
        found = {str(key.value) for key in facts.keys if isinstance(key, ast.Constant)}
        return frozenset(found.union(*(_facts(file, one) for one in more)))
    if ast.unparse(facts).startswith("self._scales.facts("):
        return _ASSET
    assert (file, ast.unparse(facts)) in FACTS, f"{file}: say what {ast.unparse(facts)} holds"
    return FACTS[file, ast.unparse(facts)]


def _sites(file: str, text: str) -> Iterator[Site]:
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call) or _name(node.func) not in RAISERS or not node.args:
            continue
        if ast.unparse(node.args[0]) == "value.code":
            continue  # A refusal becomes a problem, with its own facts.
        facts = node.args[1] if len(node.args) > 1 else None
        yield Site(file, node.lineno, _codes(file, node.args[0]), _facts(file, facts))


def _all_sites() -> list[Site]:
    return [
        site
        for folder in ("api", "app")
        for path in sorted((SOURCE / folder).rglob("*.py"))
        for site in _sites(str(path.relative_to(SOURCE)), path.read_text("utf-8"))
    ]


def _named(language: str, code: str) -> set[str]:
    """The facts that the sentences of a problem name."""
    words = CATALOGUES.words(language)
    sentences = [words.sentences[f"problem.{code}.{part}"] for part in PARTS]
    return {name for one in sentences for _, name, _, _ in Formatter().parse(one) if name}


SITES: Final = _all_sites()


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_problem_that_is_raised_has_its_sentences(language: str) -> None:
    raised = {code for site in SITES for code in site.codes}
    assert len(raised) > 50
    keys = CATALOGUES.keys(language)
    assert [one for one in sorted(raised) if f"problem.{one}.happened" not in keys] == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_problem_is_raised_with_the_facts_that_its_sentences_name(language: str) -> None:
    """An order's state read as an ellipsis: its sentence named a fact that nobody gave."""
    missing = [
        f"{site.file}:{site.line} {code}: {sorted(gap)}"
        for site in SITES
        for code in sorted(site.codes)
        if (gap := _named(language, code) - site.facts - {"code"})
    ]
    assert missing == []


def test_no_problem_is_described_that_nobody_raises() -> None:
    raised = {code for site in SITES for code in site.codes} | {"refused"}
    there = {key.split(".")[1] for key in CATALOGUES.keys("en") if key.startswith("problem.")}
    assert sorted(there - raised) == []


def test_every_command_that_a_problem_names_is_there() -> None:
    commands = _commands()
    words = CATALOGUES.words("en").sentences
    named = {
        found
        for key, sentence in words.items()
        if key.endswith(".do")
        for found in re.findall(r"poolmaker(?: [a-z][a-z\-]+)+", sentence)
    }
    assert len(named) > 10
    assert sorted(named - commands) == []


def _commands() -> set[str]:
    found: set[str] = set()

    def walk(group: object, words: tuple[str, ...]) -> None:
        for name, command in getattr(group, "commands", {}).items():
            found.add(" ".join((*words, name)))
            walk(command, (*words, name))

    walk(typer.main.get_command(cli), ("poolmaker",))
    return found


def test_a_fact_that_is_missing_is_found() -> None:
    (site,) = _sites("app/x.py", 'ActionRefused("wrong_state", {"order": one})')
    assert _named("en", "wrong_state") - site.facts == {"state"}
