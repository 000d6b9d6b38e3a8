"""Commands about the operator's own money, custody, and what nobody has configured."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from poolmaker.cli.context import Config, Home, Json, Key, client_of, key_of
from poolmaker.cli.output import say, show, table

treasury = typer.Typer(no_args_is_help=True, help="The operator's own money.")
custody = typer.Typer(no_args_is_help=True, help="What places report against the books.")
unlisted = typer.Typer(no_args_is_help=True, help="Assets at Mixin that nobody has configured.")

Reference = Annotated[
    str, typer.Option("--reference", help="The place's own id of it, or your name for it.")
]
Reason = Annotated[str, typer.Option("--reason", help="Why; the record keeps it.")]


def _booked(receipt: dict[str, Any]) -> None:
    say(f"booked: ledger entry {receipt['seq']}")


@treasury.command("operator-in")
def operator_in(
    location: str,
    asset: str,
    amount: str,
    reference: Reference,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """State that the operator's own money has come to a place, under the place's own reference."""
    body = {"location": location, "asset": asset, "amount": amount, "reference": reference}
    client = client_of(config, home)
    show(as_json, client.post("/treasury/operator-in", body, key_of(key)), _booked)


@treasury.command("operator-out")
def operator_out(
    location: str,
    asset: str,
    amount: str,
    reference: Reference,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take the operator's own money out of the books; then send it by the place's own means."""
    body = {"location": location, "asset": asset, "amount": amount, "reference": reference}
    client = client_of(config, home)
    show(as_json, client.post("/treasury/operator-out", body, key_of(key)), _booked)


@treasury.command("settle")
def settle(
    account: Annotated[str, typer.Argument(help="fees or dust")],
    asset: str,
    amount: str,
    reference: Reference,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Let fees or remainders that the platform has earned become the operator's equity."""
    body = {"account": account, "asset": asset, "amount": amount, "reference": reference}
    client = client_of(config, home)
    show(as_json, client.post("/treasury/settlements", body, key_of(key)), _booked)


@treasury.command("float")
def trade_float(
    direction: Annotated[str, typer.Argument(help="in: equity to float; out: float to equity")],
    asset: str,
    amount: str,
    reference: Reference,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Move money between the operator's equity and the float for fees in a third asset."""
    body = {"direction": direction, "asset": asset, "amount": amount, "reference": reference}
    client = client_of(config, home)
    show(as_json, client.post("/treasury/float", body, key_of(key)), _booked)


@treasury.command("reverse")
def reverse(
    seq: Annotated[int, typer.Argument(metavar="ENTRY")],
    reason: Reason,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Undo what people stated or decided wrong; needs a second person, or a day."""
    client = client_of(config, home)
    body = {"seq": seq, "reason": reason}
    show(as_json, client.post("/treasury/reversals", body, key_of(key)), _booked)


@custody.command("incidents")
def list_incidents(config: Config = None, home: Home = None, as_json: Json = False) -> None:
    """List custody incidents, open and closed, the newest first."""
    show(as_json, client_of(config, home).get("/custody/incidents"), _incidents)


def _incidents(found: list[dict[str, Any]]) -> None:
    rows = [
        (
            one["incident"],
            "closed" if one["closed_at_us"] else "open",
            f"{one['difference']} {one['asset']}".strip() or "-",
            one["owner"] or "-",
            one["evidence"] or "-",
        )
        for one in found
    ]
    table(("incident", "state", "difference", "owner", "closed by"), rows)


@custody.command("take")
def take_incident(
    incident: str,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Look after an open incident from now on."""
    client = client_of(config, home)
    one = client.post("/custody/incidents/take", {"incident": incident}, key_of(key))
    show(as_json, one, lambda found: _incidents([found]))


@custody.command("bear")
def bear_shortfall(
    incident: str,
    reason: Reason,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Let the operator's equity bear an open shortfall; needs a second person, or a day."""
    client = client_of(config, home)
    body = {"incident": incident, "reason": reason}
    show(as_json, client.post("/custody/incidents/bear", body, key_of(key)), _booked)


@unlisted.command("list")
def list_unlisted(config: Config = None, home: Home = None, as_json: Json = False) -> None:
    """List what the bot was paid in assets that nobody has configured, by asset and sender."""
    show(as_json, client_of(config, home).get_all("/unlisted"), _unlisted)


def _unlisted(found: list[dict[str, Any]]) -> None:
    rows = [
        (
            one["asset_id"],
            one["sender"] or "from a chain",
            one["amount"],
            one["returning"],
            one["payments"],
            one["problem"] or "-",
        )
        for one in found
    ]
    table(("asset", "sender", "amount", "returning", "payments", "problem"), rows)


@unlisted.command("return")
def return_unlisted(
    asset_id: str,
    receiver: Annotated[str, typer.Option("--to", help="The receiver's id at Mixin.")],
    amount: Annotated[str, typer.Option("--amount", help="Exactly what goes back.")],
    reason: Reason,
    sender: Annotated[
        str, typer.Option("--from", help="The sender's id at Mixin; none: it came from a chain.")
    ] = "",
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Pay what a sender paid to a user of Mixin; needs a second person, or a day."""
    client = client_of(config, home)
    body = {
        "asset_id": asset_id,
        "sender": sender,
        "receiver": receiver,
        "amount": amount,
        "reason": reason,
    }
    one = client.post("/unlisted/returns", body, key_of(key))
    show(as_json, one, lambda found: _unlisted([found]))
