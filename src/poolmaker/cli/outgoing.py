"""Commands by which a person decides about money that leaves."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from poolmaker.cli.client import part
from poolmaker.cli.context import Config, Home, Json, Key, client_of, key_of
from poolmaker.cli.output import say, show

outgoing = typer.Typer(no_args_is_help=True, help="Payouts and transfers whose outcome is unknown.")
chain = typer.Typer(no_args_is_help=True, help="Payments of the chain's wallet.")

Transaction = Annotated[str, typer.Option("--transaction", help="The place's own transaction id.")]
Taken = Annotated[str, typer.Option("--taken", help="What left, its fee included.")]
Fee = Annotated[str, typer.Option("--fee", help="The part of it that is the fee.")]


def _decide(
    payment_id: str, body: dict[str, str], key: str | None, config: Config, home: Home
) -> Any:
    path = f"/outgoing/{part(payment_id)}/decision"
    return client_of(config, home).post(path, body, key_of(key))


def _decided(answer: dict[str, Any]) -> None:
    say(f"{answer['payment_id']}: {answer['decision']}; it goes on at its next look")


@outgoing.command("sent")
def decide_sent(
    payment_id: str,
    transaction: Transaction,
    taken: Taken,
    fee: Fee = "0",
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Say that it has left, under which transaction, and what was taken. Needs a second person."""
    body = {"decision": "sent", "transaction_id": transaction, "taken": taken, "fee": fee}
    show(as_json, _decide(payment_id, body, key, config, home), _decided)


@outgoing.command("again")
def decide_again(
    payment_id: str,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Say that it has not left and is to be sent again. Needs a second person."""
    answer = _decide(payment_id, {"decision": "again"}, key, config, home)
    show(as_json, answer, _decided)


@outgoing.command("not-sent")
def decide_not_sent(
    payment_id: str,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Say that it has not left and is not to be sent. Needs a second person."""
    answer = _decide(payment_id, {"decision": "not_sent"}, key, config, home)
    show(as_json, answer, _decided)


def _act(reference: str, action: str, key: str | None, config: Config, home: Home) -> Any:
    path = f"/chain/payments/{part(reference)}/{action}"
    return client_of(config, home).post(path, {}, key_of(key))


def _acted(answer: dict[str, Any]) -> None:
    say(f"{answer['payment_id']}: {answer['action']} is signed and handed in")


@chain.command("retry")
def retry(
    reference: str,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Sign a payment that no block takes anew, for what the chain asks now."""
    show(as_json, _act(reference, "retry", key, config, home), _acted)


@chain.command("cancel")
def cancel(
    reference: str,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Use the nonce of a payment that no block takes for nothing, so that it is never paid."""
    show(as_json, _act(reference, "cancel", key, config, home), _acted)
