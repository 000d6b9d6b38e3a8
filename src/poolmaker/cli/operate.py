"""Commands that speak to the running platform: status, users, pools, orders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from poolmaker import app
from poolmaker.cli.context import Config, Home, Json, client_of
from poolmaker.cli.output import CHECK_FAILED, say, show, sums, table
from poolmaker.kernel.errors import CallerFault

users = typer.Typer(no_args_is_help=True, help="Users and their deposits.")
pools = typer.Typer(no_args_is_help=True, help="Pools.")
orders = typer.Typer(no_args_is_help=True, help="User orders.")

Key = Annotated[
    str | None,
    typer.Option("--key", help="Idempotency key; give the same one to repeat a wish safely."),
]


def _key(key: str | None) -> str:
    if key is not None:
        return key
    rng = app.load("kernel.rng").system_rng()
    return f"cli-{rng.bits(128):032x}"


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


@users.command("create")
def create_user(
    name: str,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="Write the token here, readable to you.")
    ] = None,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make a user. The token is shown once, or written to --token-file and not shown."""
    client = client_of(config, home)
    user = client.post("/users", {"name": name}, _key(key))
    if token_file is not None and user.get("token"):
        app.load("infra.postgres.passwords").write_private(token_file, user["token"] + "\n")
        user["token"] = f"in {token_file}"
    show(as_json, user, lambda u: say(f"{u['user_id']}  {u['name']}  token: {u['token']}"))


@users.command("list")
def list_users(config: Config = None, home: Home = None, as_json: Json = False) -> None:
    """List the users."""
    found = client_of(config, home).get("/users")
    show(as_json, found, lambda us: table(("id", "name"), [(u["user_id"], u["name"]) for u in us]))


@users.command("credit")
def credit_user(
    user_id: str,
    asset: str,
    amount: str,
    account: Annotated[str, typer.Option("--account", help="Venue account that holds it.")],
    reference: Annotated[str, typer.Option("--reference", help="The outside world's own id.")],
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Credit a user with money that has arrived. One reference is one credit, for ever."""
    body = {
        "location": f"custody:venue:{account}",
        "asset": asset,
        "amount": amount,
        "reference": reference,
    }
    client = client_of(config, home)
    receipt = client.post(f"/users/{quote(user_id)}/deposits", body, _key(key))
    show(as_json, receipt, lambda r: say(f"credited {amount} {asset}: ledger entry {r['seq']}"))


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
    found = client_of(config, home).get(f"/pools/{quote(pool_id)}")
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
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Open an order for a user: BASE and QUOTE are amounts of the pool's two assets."""
    body = {"user_id": user_id, "pool_id": pool_id, "base": base, "quote": quote_amount}
    order = client_of(config, home).post("/orders", body, _key(key))
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
    show(as_json, client.post(f"/orders/{quote(order_id)}/pause", {}, _key(key)), _order)


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
    show(as_json, client.post(f"/orders/{quote(order_id)}/resume", {}, _key(key)), _order)


@orders.command("withdraw")
def withdraw_order(
    order_id: str,
    to: Annotated[
        list[str], typer.Option("--to", help="ASSET:NETWORK:ADDRESS[:MEMO], once per asset.")
    ],
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Leave the pool, pay out, close."""
    body = {"payout": [_destination(text) for text in to]}
    client = client_of(config, home)
    show(as_json, client.post(f"/orders/{quote(order_id)}/withdraw", body, _key(key)), _order)


def _destination(text: str) -> dict[str, str]:
    parts = text.split(":", 3)
    if len(parts) < 3:  # noqa: PLR2004 - asset, network, address
        raise CallerFault(f"--to: expected ASSET:NETWORK:ADDRESS[:MEMO], was {text!r}")
    return dict(zip(("asset", "network", "address", "memo"), parts, strict=False))


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
        show(as_json, client.get("/orders"), _orders)
    else:
        show(as_json, client.get(f"/orders/{quote(order_id)}"), _order)


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
    for part in order["bar"]:
        say(f"  {part['part'].ljust(12)} {sums(part['amounts'])}")
    for step in order["steps"]:
        say(f"  {step['state'].ljust(12)} entry {step['entry_seq'] or '-'}")
