"""Commands about what needs a person: the one list, and every way forward that it names."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from poolmaker.cli.client import part
from poolmaker.cli.context import Config, Home, Json, Key, client_of, key_of
from poolmaker.cli.output import say, show, table

attention = typer.Typer(invoke_without_command=True, help="What needs a person, and why.")
sagas = typer.Typer(no_args_is_help=True, help="Sagas: what waits, what is parked.")
streams = typer.Typer(no_args_is_help=True, help="Streams that stopped at an event.")
suspense = typer.Typer(no_args_is_help=True, help="Money that is unidentified.")
rewards = typer.Typer(no_args_is_help=True, help="Rewards that wait for a decision.")
campaigns = typer.Typer(no_args_is_help=True, help="Campaigns.")

Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept with your name.")]


def _post(path: str, body: dict[str, Any], key: str | None, place: tuple[Any, Any]) -> Any:
    return client_of(*place).post(path, body, key_of(key))


# ---------------------------------------------------------------------------------- the one list


@attention.callback()
def list_attention(
    context: typer.Context,
    kind: Annotated[str, typer.Option("--kind", help="Only SOURCE:KIND, all of it.")] = "",
    after: Annotated[str, typer.Option("--after", help="Begin after this item's id.")] = "",
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show what needs a person: what happened, what it blocks, and the commands that solve it."""
    if context.invoked_subcommand is not None:
        return
    path = f"/attention?kind={part(kind)}&after={part(after)}"
    show(as_json, client_of(config, home).get(path), _list)


def _list(page: dict[str, Any]) -> None:
    if not page["total"]:
        say("nothing needs a person")
        return
    for item in page["items"]:
        count = f" ({item['count']})" if item["count"] > 1 else ""
        blocks = f"; blocks {', '.join(item['blocks'])}" if item["blocks"] else ""
        say(f"{item['id']}{count}{blocks}")
        for name, value in item["evidence"].items():
            say(f"  {name}: {value}")
        for remedy in item["remedies"]:
            say(f"  {remedy['action']}: {remedy['command']}")
    say(f"{page['total']} in all")
    shown: dict[str, int] = {}
    for item in page["items"]:
        name = f"{item['source']}:{item['kind']}"
        shown[name] = shown.get(name, 0) + item["count"]
    for name, count in page["counts"].items():
        if count > shown.get(name, 0) and page["next_after"] is None:
            say(f"more: poolmaker attention --kind {name}")
    if page["next_after"] is not None:
        say(f"more: --after {page['next_after']!r}")


@attention.command("close")
def close(
    item: str, reason: Reason, key: Key = None, config: Config = None, home: Home = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Close what nothing outside can settle; your name and reason are kept for ever."""
    body = {"id": item, "reason": reason}
    done = _post("/attention/close", body, key, (config, home))
    show(as_json, done, lambda one: say(f"closed {one['closed']}"))


# ----------------------------------------------------------------------------------------- sagas


@sagas.command("show")
def show_saga(saga: str, config: Config = None, home: Home = None, as_json: Json = False) -> None:
    """Show a saga: where it stands, why, and its steps."""
    show(as_json, client_of(config, home).get(f"/sagas/{part(saga)}"), _saga)


def _saga(saga: dict[str, Any]) -> None:
    say(f"{saga['kind']} {saga['saga_id']} is {saga['state']}, {saga['tries']} tries")
    say(f"parked: {saga['incident']}" if saga["incident"] else f"waits: {saga['note'] or '-'}")
    table(("state", "at", "what"), [(s["state"], s["at_us"], s["note"]) for s in saga["steps"]])


@sagas.command("resume")
def resume_saga(
    saga: str, key: Key = None, config: Config = None, home: Home = None, as_json: Json = False
) -> None:
    """Let a parked saga do its step again, after what it found broken is mended."""
    show(as_json, _post(f"/sagas/{part(saga)}/resume", {}, key, (config, home)), _saga)


@sagas.command("retry")
def retry_saga(
    saga: str, key: Key = None, config: Config = None, home: Home = None, as_json: Json = False
) -> None:
    """Let a waiting saga look again now."""
    show(as_json, _post(f"/sagas/{part(saga)}/retry", {}, key, (config, home)), _saga)


# --------------------------------------------------------------------------------------- streams


@streams.command("show")
def show_event(
    consumer: str, stream: str, seq: int, config: Config = None, home: Home = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Show the event at which a consumer has stopped, and why."""
    path = f"/streams/event?consumer={part(consumer)}&stream={part(stream)}&seq={seq}"
    show(as_json, client_of(config, home).get(path), _event)


def _event(event: dict[str, Any]) -> None:
    say(f"{event['consumer']} stopped at {event['stream']} {event['seq']}: {event['error']}")
    say(f"key  {event['key']}")
    say(f"body {event['body']}")


@streams.command("replay")
def replay_event(
    consumer: str, stream: str, seq: int, key: Key = None, config: Config = None,
    home: Home = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Try the event again, after what made it fail is mended."""
    body = {"consumer": consumer, "stream": stream, "seq": seq}
    show(as_json, _post("/streams/replay", body, key, (config, home)), _event)


@streams.command("skip")
def skip_event(
    consumer: str, stream: str, seq: int, reason: Reason, key: Key = None,
    config: Config = None, home: Home = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Leave an event out for good; needs a second person."""
    body = {"consumer": consumer, "stream": stream, "seq": seq, "reason": reason}
    show(as_json, _post("/streams/skip", body, key, (config, home)), _event)


# ------------------------------------------------------------------------------ ledger, suspense


def bear_deficit(
    account: str, asset: str, amount: str, reason: Reason, key: Key = None,
    config: Config = None, home: Home = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Let platform equity bear what is missing on an account; above the limit by two persons."""
    body = {"account": account, "asset": asset, "amount": amount, "reason": reason}
    show(as_json, _post("/ledger/bear-deficit", body, key, (config, home)), _receipt)


def set_aside(
    command: str, reason: Reason, key: Key = None, config: Config = None, home: Home = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Set aside a fact that cannot be booked, by its key; needs a second person."""
    body = {"key": command, "reason": reason}
    show(as_json, _post("/ledger/set-aside", body, key, (config, home)), _receipt)


def _receipt(receipt: dict[str, Any]) -> None:
    say(f"done: ledger entry {receipt['seq']}")


@suspense.command("resolve")
def resolve_suspense(
    source: str, asset: str, amount: str,
    to: Annotated[str, typer.Option("--to", help="user:ID, pool:ID or platform.")],
    reason: Reason, key: Key = None, config: Config = None, home: Home = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Say whose unidentified money is; needs a second person."""
    body = {"source": source, "asset": asset, "amount": amount, "to": to, "reason": reason}
    show(as_json, _post("/suspense/resolve", body, key, (config, home)), _receipt)


@suspense.command("refund")
def refund_suspense(
    source: str, reason: Reason, key: Key = None, config: Config = None, home: Home = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Pay unidentified money back to the sender that its place named."""
    body = {"source": source, "reason": reason}
    done = _post("/suspense/refund", body, key, (config, home))
    show(as_json, done, lambda one: say(f"{one['refunding']} is paid back"))


# --------------------------------------------------------------------- rewards, campaigns, freeze


@rewards.command("keep")
def keep_reward(
    reward: str, reason: Reason, key: Key = None, config: Config = None, home: Home = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """A reward that nobody has a part in becomes the operator's; needs a second person."""
    done = _post(f"/rewards/{part(reward)}/keep", {"reason": reason}, key, (config, home))
    show(as_json, done, lambda one: say(f"{one['reward_id']} is the operator's"))


@rewards.command("assign")
def assign_reward(
    reward: str, pool: str, reason: Reason, key: Key = None, config: Config = None,
    home: Home = None, as_json: Json = False,
) -> None:  # fmt: skip
    """A reward belongs to the share holders of a named pool; needs a second person."""
    body = {"pool_id": pool, "reason": reason}
    done = _post(f"/rewards/{part(reward)}/assign", body, key, (config, home))
    show(as_json, done, lambda one: say(f"{one['reward_id']} belongs to {one['pool_id']}"))


@campaigns.command("join")
def join_campaign(
    campaign: str, key: Key = None, config: Config = None, home: Home = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Ask again to take part in a campaign."""
    done = _post(f"/campaigns/{part(campaign)}/join", {}, key, (config, home))
    show(as_json, done, lambda one: say(f"asked to join {one['campaign_id']}"))


def freeze(
    reason: Reason, key: Key = None, config: Config = None, home: Home = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Stop outgoing money at once."""
    done = _post("/freeze", {"reason": reason}, key, (config, home))
    show(as_json, done, lambda _: say("outgoing money is frozen"))


def unfreeze(
    reason: Reason, key: Key = None, config: Config = None, home: Home = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Let outgoing money go again; needs a second person."""
    done = _post("/freeze/lift", {"reason": reason}, key, (config, home))
    show(as_json, done, lambda _: say("outgoing money goes again"))
