"""The kill switch, and what else holds an engine back: set, look, release.

``kill set`` needs neither the platform nor its database: it writes the latch that every engine
of this home asks before each order, then cancels at the venues itself until their own lists show
nothing of ours.
"""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from poolmaker import app
from poolmaker.cli.client import ApiRefused
from poolmaker.cli.context import Config, Home, Json, Key, client_of, key_of, settings_of
from poolmaker.cli.output import CHECK_FAILED, say, show, table
from poolmaker.kernel.errors import EnvironmentProblem

kill = typer.Typer(no_args_is_help=True, help="Stop orders: of a pool, an account, everything.")
engines = typer.Typer(no_args_is_help=True, help="Engines: how they are, and what holds them back.")

OPERATOR: Final = "operator"
"""Whose token this command line uses: the name under which a latch is set."""

Scope = Annotated[str, typer.Argument(help="platform, account:ID or pool:ID.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept with it.")]


@kill.command("set")
def set_latch(
    scope: Scope,
    reason: Reason,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Create no order any more and cancel what rests; works without platform and database.

    Exit code 1 while the venue's own list still shows an order of ours.
    """
    settings = settings_of(config, home)
    latches = app.load("market.execution.kill")
    latch = app.load("market.execution.killing").new_latch(
        scope, OPERATOR, reason, app.load("infra.clock").SystemClock().now_us()
    )
    latches.KillFiles(settings.home).set(latch)
    killing = app.load("app.killing")
    swept = app.load("cli.running").run(killing.sweep(settings, scope))
    proven = killing.is_proven(swept)
    value = {
        "scope": scope,
        "set": True,
        "proven": proven,
        "accounts": [one.plain() for one in swept],
    }
    show(as_json, value, _swept)
    if not proven:
        raise typer.Exit(CHECK_FAILED)


def _swept(value: dict[str, Any]) -> None:
    say(f"killed: {value['scope']}; it holds until it is released")
    rows = [
        (
            one["account"],
            " ".join(one["symbols"]) or "all",
            one["cancelled"],
            len(one["left"]),
            "nothing of ours stands" if one["proven"] else f"NOT PROVEN {one['problem']}",
        )
        for one in value["accounts"]
    ]
    table(("account", "markets", "cancelled", "left", "the venue's list"), rows)


@kill.command("status")
def status(config: Config = None, home: Home = None, as_json: Json = False) -> None:
    """Show every latch that holds; the files are read also when no platform answers."""
    settings = settings_of(config, home)
    found = {
        latch.scope: _held(latch, file=True, row=None)
        for latch in app.load("market.execution.kill").KillFiles(settings.home).latches()
    }
    try:
        told = client_of(config, home).get("/kill")
        answers = True
    except (EnvironmentProblem, ApiRefused):
        told, answers = [], False
    found |= {one["scope"]: one for one in told}
    value = {
        "killed": bool(found),
        "platform_answers": answers,
        "latches": [found[scope] for scope in sorted(found)],
    }
    show(as_json, value, _status)


def _held(latch: Any, *, file: bool, row: bool | None) -> dict[str, Any]:
    return {
        "scope": latch.scope,
        "set_by": latch.set_by,
        "reason": latch.reason,
        "set_us": latch.set_us,
        "file": file,
        "row": row,
        "asked_by": latch.asked_by,
        "asked_us": latch.asked_us,
        "effective_us": 0,
    }


def _status(value: dict[str, Any]) -> None:
    if not value["killed"]:
        say("no kill latch holds")
        return
    words = {True: "yes", False: "no", None: "not known"}
    rows = [
        (one["scope"], one["set_by"], one["reason"], words[one["file"]], words[one["row"]])
        for one in value["latches"]
    ]
    table(("scope", "set by", "reason", "file", "database"), rows)


@kill.command("release")
def release(
    scope: Scope,
    reason: Reason,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Release a latch: by a second person, or by the only one a day after they asked.

    Exit code 1 while it still holds.
    """
    body = {"scope": scope, "reason": reason}
    answer = client_of(config, home).post("/kill/release", body, key_of(key))
    show(as_json, answer, lambda one: say(f"{one['scope']}: {_words(one)}"))
    if answer["verdict"] != "released":
        raise typer.Exit(CHECK_FAILED)


def _words(answer: dict[str, Any]) -> str:
    return {
        "released": "released",
        "second_person": "asked for; a second person has to release it",
        "waits": "asked for; nobody else may release it, so ask again after a day",
    }[answer["verdict"]]


@kill.command("take-back")
def take_back(
    scope: Scope,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take back the wish to release a latch: it holds as before."""
    answer = client_of(config, home).post("/kill/take-back", {"scope": scope}, key_of(key))
    show(as_json, answer, lambda one: say(f"{one['scope']}: held"))


@engines.command("list")
def list_engines(config: Config = None, home: Home = None, as_json: Json = False) -> None:
    """How each engine is doing, and the latches that hold it back."""
    show(as_json, client_of(config, home).get("/engines"), _engines)


def _engines(found: list[dict[str, Any]]) -> None:
    words = {True: "yes", False: "no"}
    rows = [
        (
            one["account"],
            words[one["connected"]],
            words[one["reconciled"]],
            words[one["quoting"]],
            one["why_not"] or "-",
        )
        for one in found
    ]
    table(("account", "connected", "reconciled", "quoting", "why not"), rows)
    for one in found:
        for latch in one["latches"]:
            say(f"  {one['account']} {latch['kind']} {latch['subject']}: {latch['cause']}")


@engines.command("release")
def release_latch(
    account: str,
    kind: str,
    subject: str,
    reason: Reason,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Release a latch of an engine that evidence has not cleared; exit code 1 if none held."""
    path = f"/engines/{quote(account)}/latches/{quote(kind)}/release"
    body = {"subject": subject, "reason": reason}
    answer = client_of(config, home).post(path, body, key_of(key))
    show(as_json, answer, lambda one: say("released" if one["released"] else "nothing held"))
    if not answer["released"]:
        raise typer.Exit(CHECK_FAILED)
