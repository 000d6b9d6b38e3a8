"""The kill switch, and what else holds an engine back: set, look, release.

``kill set`` needs neither the platform nor its database: it writes the latch that every engine
of this home asks before each order, then cancels at the venues itself until their own lists show
nothing of ours.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from poolmaker import app
from poolmaker.cli.client import ApiRefused, part
from poolmaker.cli.context import Config, Home, Json, Key, client_of, key_of, settings_of
from poolmaker.cli.output import CHECK_FAILED, complain, say, show, table
from poolmaker.kernel.errors import EnvironmentProblem, OutcomeUnknown, PreconditionError

kill = typer.Typer(no_args_is_help=True, help="Stop orders: of a pool, an account, everything.")
engines = typer.Typer(no_args_is_help=True, help="Engines: how they are, and what holds them back.")

Scope = Annotated[str, typer.Argument(help="platform, account:ID or pool:ID.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; kept with it.")]
Ids = Annotated[
    list[str] | None,
    typer.Option("--id", help="A latch that you judged, by id; default: all that hold the scope."),
]


@kill.command("set")
def set_latch(
    scope: Scope,
    reason: Reason,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Create no order any more and cancel what rests; works without platform and database.

    Exit code 1 while the venue's own list still shows an order of ours, or nothing holds.
    """
    settings = settings_of(config, home)
    killing, latches = app.load("app.killing"), app.load("market.execution.kill")
    now_us, rng = (
        app.load("infra.clock").SystemClock().now_us(),
        app.load("kernel.rng").system_rng(),
    )
    new_latch = app.load("market.execution.killing").new_latch
    latch = new_latch(scope, latches.OPERATOR, reason, now_us, rng)
    found = _targets(settings, scope, config, home)
    file = latches.KillFiles(settings.home).set(latch)
    swept = app.load("cli.running").run(killing.sweep(settings, found))
    value = {
        "scope": scope,
        "set": file.holds,
        "problem": file.problem,
        "proven": killing.is_proven(swept),
        "accounts": [one.plain() for one in swept],
    }
    if not file.holds:
        complain(f"the latch cannot be kept in a file ({file.problem}); the platform is asked")
        value |= _held_by_platform(scope, reason, config, home)
    show(as_json, value, _swept)
    if not (value["set"] and value["proven"]):
        raise typer.Exit(CHECK_FAILED)


def _targets(settings: Any, scope: str, config: Path | None, home: Path | None) -> Any:
    """Accounts that a scope concerns; what is not configured any more the platform may know.

    Raises CallerFault for what it does not know. Where nobody answers, the latch is set as asked.
    """
    killing = app.load("app.killing")
    try:
        return killing.targets(settings, scope)
    except PreconditionError as unknown:
        try:
            pools = client_of(config, home).get_all("/pools")
        except (EnvironmentProblem, ApiRefused) as silent:
            complain(f"{unknown}, and it cannot be looked up ({silent}); latched without a sweep")
            return []
    known = [(one["pool_id"], one["venue_account"], one["symbol"]) for one in pools]
    return killing.targets(settings, scope, known)


def _held_by_platform(
    scope: str, reason: str, config: Path | None, home: Path | None
) -> dict[str, Any]:
    """What the platform answers when it is asked to hold what no file can; else nothing."""
    try:
        wish = {"scope": scope, "reason": reason}
        told = client_of(config, home).post("/kill", wish, key_of(None))
    except (EnvironmentProblem, ApiRefused) as silent:
        complain(f"NO LATCH HOLDS: {silent}")
        return {}
    except OutcomeUnknown as silent:
        complain(f"NO LATCH IS KNOWN TO HOLD: {silent}")
        return {}
    return {"set": True, "proven": told["proven"], "accounts": told["accounts"]}


def _swept(value: dict[str, Any]) -> None:
    if value["set"]:
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
    """Show every latch that holds; the files are read also when no platform answers.

    Exit code 1 when neither the platform nor the files could be asked.
    """
    settings = settings_of(config, home)
    files = app.load("market.execution.kill").KillFiles(settings.home)
    unread = files.why(())
    found = {latch.id: _held(latch, file=True, row=None) for latch in files.latches()}
    try:
        told = client_of(config, home).get("/kill")
        answers = True
    except (EnvironmentProblem, ApiRefused):
        told, answers = [], False
    found |= {one["id"]: one for one in told}
    value = {
        "killed": bool(found),
        "platform_answers": answers,
        "files_problem": unread,
        "latches": sorted(found.values(), key=lambda one: (one["scope"], one["set_us"])),
    }
    show(as_json, value, _status)
    if unread and not answers:
        complain(f"nothing is known: no platform answers, and {unread}")
        raise typer.Exit(CHECK_FAILED)


def _held(latch: Any, *, file: bool, row: bool | None) -> dict[str, Any]:
    return {
        "id": latch.id,
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
    if not value["platform_answers"]:
        say("no platform answers: what its database holds is not known")
    if not value["killed"]:
        say("no kill latch holds" if value["platform_answers"] else "no file of a latch was seen")
        return
    words = {True: "yes", False: "no", None: "not known"}
    rows = [
        (
            one["scope"],
            one["set_by"],
            one["reason"],
            words[one["file"]],
            words[one["row"]],
            one["id"],
        )
        for one in value["latches"]
    ]
    table(("scope", "set by", "reason", "file", "database", "id"), rows)


@kill.command("release")
def release(
    scope: Scope,
    reason: Reason,
    ids: Ids = None,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Release a latch: by a second person, or by the only one a day after they asked.

    Exit code 1 while it still holds, also by a latch that was set meanwhile.
    """
    body = {"scope": scope, "reason": reason, "ids": ids or []}
    answer = client_of(config, home).post("/kill/release", body, key_of(key))
    show(as_json, answer, _said)
    if answer["verdict"] != "released":
        raise typer.Exit(CHECK_FAILED)


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
    show(as_json, answer, _said)


def _said(answer: dict[str, Any]) -> None:
    say(f"{answer['scope']}: {answer['sentence']}")


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
    path = f"/engines/{part(account)}/latches/{part(kind)}/release"
    body = {"subject": subject, "reason": reason}
    answer = client_of(config, home).post(path, body, key_of(key))
    show(as_json, answer, lambda one: say("released" if one["released"] else "nothing held"))
    if not answer["released"]:
        raise typer.Exit(CHECK_FAILED)
