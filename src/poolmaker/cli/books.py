"""Commands about the ledger. ``verify`` and ``trial-balance`` need no running platform."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Annotated, Any

import typer

from poolmaker import app
from poolmaker.cli.client import part
from poolmaker.cli.context import Config, Home, Json, client_of, settings_of
from poolmaker.cli.output import CHECK_FAILED, complain, emit, say, show, sums, table
from poolmaker.cli.writing import require_writable, unwritable

ledger = typer.Typer(no_args_is_help=True, help="The books: balances, proof, statements.")


@ledger.command("verify")
def verify(config: Config = None, home: Home = None, as_json: Json = False) -> None:
    """Replay the whole log and compare every balance and hash; exit code 1 on a difference."""
    report = app.load("cli.running").verify(settings_of(config, home))
    value = {
        "ok": report.ok,
        "transactions": report.transactions,
        "entries": report.entries,
        "head_hash": report.head_hash,
    }
    show(as_json, value, _verdict)
    for problem in report.problems:
        complain(problem)
    if not report.ok:
        raise typer.Exit(CHECK_FAILED)


def _verdict(value: dict[str, Any]) -> None:
    word = "the ledger verifies" if value["ok"] else "the ledger does NOT verify"
    count = f"{value['transactions']} transactions, {value['entries']} entries"
    say(f"{word}: {count}, head {value['head_hash'][:16]}…")


@ledger.command("trial-balance")
def trial_balance(config: Config = None, home: Home = None, as_json: Json = False) -> None:
    """Where it is and whose it is, per asset; exit code 1 when they differ."""
    value = app.load("cli.running").trial_balance(settings_of(config, home))
    show(as_json, value, _trial_table)
    if not value["ok"]:
        raise typer.Exit(CHECK_FAILED)


def _trial_table(value: dict[str, Any]) -> None:
    rows = [(r["asset"], r["held"], r["owed"], r["difference"]) for r in value["lines"]]
    table(("asset", "where it is", "whose it is", "difference"), rows)
    say("the books balance" if value["ok"] else "the books do NOT balance")


After = Annotated[int, typer.Option("--after", help="Begin after this ledger entry.")]
Limit = Annotated[int, typer.Option("--limit", help="At most so many entries.", min=1, max=500)]


@ledger.command("statement")
def statement(
    user_id: str,
    after: After = 0,
    limit: Limit = 100,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """A user's entries in order."""
    path = f"/users/{part(user_id)}/statement?after={after}&limit={limit}"
    show(as_json, client_of(config, home).get(path), _statement)


def _statement(page: dict[str, Any]) -> None:
    _entries(page)
    rows = [_profit(order) for order in page["orders"]]
    table(("order", "state", "arrived", "trading", "fees", "rewards"), rows)
    say("trading is compared with holding what arrived, at mid, before fees and rewards")


def _profit(order: dict[str, Any]) -> tuple[str, ...]:
    profit = order["profit"]
    return (
        order["order_id"],
        order["state"],
        sums(order["deposited"]),
        sums([profit["trading"]]) if profit["trading"] else "no price",
        sums(profit["fees"]),
        sums(profit["rewards"]),
    )


def _entries(page: dict[str, Any]) -> None:
    rows = [(e["seq"], e["kind"], e["account"], e["amount"], e["asset"]) for e in page["entries"]]
    table(("entry", "kind", "account", "amount", "asset"), rows)
    if page["next_after"] is not None:
        say(f"more: --after {page['next_after']}")


@ledger.command("export")
def export(
    file: Annotated[
        Path | None, typer.Option("--out", help="CSV file; default: the screen.")
    ] = None,
    account: Annotated[str, typer.Option("--account", help="An account of the chart.")] = "",
    user_id: Annotated[str, typer.Option("--user", help="Everything that is one user's.")] = "",
    config: Config = None,
    home: Home = None,
) -> None:
    """Write all entries of an account or of a user as CSV, amounts in full."""
    if bool(account) == bool(user_id):
        raise typer.BadParameter("name either --account or --user")
    require_writable(file, "the export")
    base = (
        f"/ledger/accounts/{part(account)}/entries"
        if account
        else f"/users/{part(user_id)}/statement"
    )
    rows = _all_entries(client_of(config, home), base)
    if file is None:
        emit(_csv(rows))
        return
    try:
        app.load("infra.postgres.passwords").write_private(file, _csv(rows))
    except OSError as error:
        raise unwritable(file, "the export", error) from None
    say(f"{len(rows)} entries in {file}")


def _all_entries(client: Any, base: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    after: int | None = 0
    while after is not None:
        page = client.get(f"{base}?after={after}&limit=500")
        rows += page["entries"]
        after = page["next_after"]
    return rows


def _csv(rows: list[dict[str, Any]]) -> str:
    names = ("seq", "at_us", "kind", "key", "account", "asset", "amount", "balance")
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()
