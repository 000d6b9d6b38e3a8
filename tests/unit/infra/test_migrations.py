"""The chain of revisions as files: readable SQL, one line without forks."""

from __future__ import annotations

from pathlib import Path

from poolmaker.infra import migrations
from poolmaker.infra.migrations.runner import known_revisions, newest_revision

VERSIONS = Path(migrations.__file__).parent / "versions"


def test_every_revision_has_its_sql_beside_it_and_every_sql_its_revision() -> None:
    revisions = {path.stem for path in VERSIONS.glob("[0-9]*.py")}
    assert revisions == {path.stem for path in VERSIONS.glob("*.sql")}
    assert {name.split("_", 1)[0] for name in revisions} == known_revisions()


def test_revisions_follow_one_another_in_the_order_of_their_numbers() -> None:
    """Numbers are given out to work done side by side, so some may be missing."""
    numbers = sorted(known_revisions())
    before = dict(zip(numbers, [None, *numbers], strict=False))
    for path in VERSIONS.glob("[0-9]*.py"):
        number = path.stem.split("_", 1)[0]
        said = repr(before[number]).replace("'", '"')
        assert f"down_revision: str | None = {said}\n" in path.read_text(), path
    assert newest_revision() == numbers[-1]


def test_no_revision_ends_the_transaction_that_it_shares_with_the_others() -> None:
    for path in VERSIONS.glob("*.sql"):
        words = {line.strip().rstrip(";").upper() for line in path.read_text().splitlines()}
        assert not words & {"COMMIT", "ROLLBACK", "BEGIN TRANSACTION", "START TRANSACTION"}, path
