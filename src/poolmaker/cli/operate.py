"""Commands that speak to the running platform: status, users, pools, orders."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from poolmaker.cli.client import part
from poolmaker.cli.context import Config, Home, Json, Key, client_of, key_of
from poolmaker.cli.output import CHECK_FAILED, say, show, sums, table

pools = typer.Typer(no_args_is_help=True, help="Pools.")
orders = typer.Typer(no_args_is_help=True, help="User orders.")


def status(config: Config = None, home: Home = None, as_json: Json = False) -> None:
    """Say how the running platform is doing; exit code 1 when a check does not hold."""
    client = client_of(config, home)
    health = client.get("/health")
    books = client.get("/ledger/trial-balance")
    value = {"health": health, "books_ok": books["ok"], "ledger_seq": books["seq"]}
    show(as_json, value, _status)
    if not (health["ok"] and books["ok"]):
        raise typer.Exit(CHECK_FAILED)


def _status(value: dict[str, Any]) -> None:
    health = value["health"]
    say(f"mode {health['mode']}, version {health['version']}, restarts {health['restarts']}")
    words = {True: "ok", False: "NOT OK"}
    rows = [
        (check["name"], words[check["ok"]], check["facts"].get("sentence", ""))
        for check in health["checks"]
    ]
    rows.append(("books", words[value["books_ok"]], f"at entry {value['ledger_seq']}"))
    table(("check", "state", "what"), rows)


@pools.command("list")
def list_pools(config: Config = None, home: Home = None, as_json: Json = False) -> None:
    """List the pools."""
    found = client_of(config, home).get("/pools")
    show(as_json, found, _pools)


def _pools(found: list[dict[str, Any]]) -> None:
    rows = [
        (p["pool_id"], p["symbol"], p["state"], sums([p["nav"]] if p["nav"] else []), p["holders"])
        for p in found
    ]
    table(("pool", "market", "state", "net asset value", "holders"), rows)


@pools.command("show")
def show_pool(
    pool_id: str, config: Config = None, home: Home = None, as_json: Json = False
) -> None:
    """Show a pool."""
    found = client_of(config, home).get(f"/pools/{part(pool_id)}")
    show(as_json, found, _pool)


def _pool(pool: dict[str, Any]) -> None:
    _pools([pool])
    say(f"capital  {sums([pool['base'], pool['quote']])}")
    say(f"leaving  {sums(pool['exits'])}")
    say(f"shares   {pool['shares']} of epoch {pool['epoch']}, one is {pool['share_price'] or '-'}")
    say(f"fills    {pool['fills']}")


@orders.command("open")
def open_order(
    user_id: str,
    pool_id: str,
    base: str,
    quote_amount: Annotated[str, typer.Argument(metavar="QUOTE")],
    least_shares: Annotated[
        str | None, typer.Option("--least-shares", help="Join whole for so many or not at all.")
    ] = None,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Open an order for a user: BASE and QUOTE are amounts of the pool's two assets."""
    body = {"user_id": user_id, "pool_id": pool_id, "base": base, "quote": quote_amount}
    if least_shares is not None:
        body["least_shares"] = least_shares
    order = client_of(config, home).post("/orders", body, key_of(key))
    show(as_json, order, _order)


@orders.command("pause")
def pause_order(
    order_id: str,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take an order out of its pool; its money stays reserved for it."""
    client = client_of(config, home)
    show(as_json, client.post(f"/orders/{part(order_id)}/pause", {}, key_of(key)), _order)


@orders.command("take-back")
def take_back_excess(
    order_id: str,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Give back, free, what of an order has waited too long for a price."""
    client = client_of(config, home)
    show(as_json, client.post(f"/orders/{part(order_id)}/take-back", {}, key_of(key)), _order)


@orders.command("resume")
def resume_order(
    order_id: str,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Let a paused order join its pool again."""
    client = client_of(config, home)
    show(as_json, client.post(f"/orders/{part(order_id)}/resume", {}, key_of(key)), _order)


@orders.command("withdraw")
def withdraw_order(
    order_id: str,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Leave the pool, pay out to the user's own Mixin wallet, close."""
    client = client_of(config, home)
    show(as_json, client.post(f"/orders/{part(order_id)}/withdraw", {}, key_of(key)), _order)


@orders.command("show")
def show_order(
    order_id: Annotated[str | None, typer.Argument()] = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Show an order, or list all."""
    client = client_of(config, home)
    if order_id is None:
        show(as_json, client.get_all("/orders", "before"), _orders)
    else:
        show(as_json, client.get(f"/orders/{part(order_id)}"), _order)


def _orders(found: list[dict[str, Any]]) -> None:
    rows = [
        (o["order_id"], o["user_name"], o["pool_id"], o["state"], sums([o["value"]]))
        if o["value"]
        else (o["order_id"], o["user_name"], o["pool_id"], o["state"], "-")
        for o in found
    ]
    table(("order", "user", "pool", "state", "value"), rows)


def _order(order: dict[str, Any]) -> None:
    _orders([order])
    for piece in order["bar"]:
        say(f"  {piece['part'].ljust(12)} {sums(piece['amounts'])}")
    for step in order["steps"]:
        say(f"  {step['state'].ljust(12)} entry {step['entry_seq'] or '-'}")
