"""Commands of users' lives, of tokens, and of what waits for a second person."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from poolmaker import app
from poolmaker.cli.client import part
from poolmaker.cli.context import Config, Home, Json, Key, client_of, key_of, settings_of
from poolmaker.cli.output import say, show, table
from poolmaker.cli.writing import require_writable
from poolmaker.kernel.errors import PreconditionError

users = typer.Typer(no_args_is_help=True, help="Users, their wallets, tokens and deposits.")
user_tokens = typer.Typer(no_args_is_help=True, help="Tokens of a user.")
tokens = typer.Typer(no_args_is_help=True, help="Tokens of everybody; those of the staff.")
approvals = typer.Typer(no_args_is_help=True, help="What waits for a second person.")
users.add_typer(user_tokens, name="token")

TokenFile = Annotated[
    Path | None, typer.Option("--token-file", help="Write the token here, readable to you.")
]
MixinId = Annotated[str, typer.Option("--mixin-id", help="The user's id at Mixin.")]
Scopes = Annotated[
    list[str] | None, typer.Option("--scope", help="Only this scope; may be given several times.")
]
Days = Annotated[
    int | None, typer.Option("--days", min=1, max=366, help="Days until it expires; 90.")
]


def _keep(answer: dict[str, Any], file: Path | None) -> dict[str, Any]:
    """The answer with its token in the file; where that fails now, the token is shown instead."""
    if file is None or not answer.get("token"):
        return answer
    try:
        app.load("infra.postgres.passwords").write_private(file, answer["token"] + "\n")
    except OSError as error:
        return answer | {"token_file_problem": f"{file} cannot be written ({error.strerror})"}
    return answer | {"token": f"in {file}"}


def _token(answer: dict[str, Any]) -> None:
    if problem := answer.get("token_file_problem"):
        say(f"{problem}; the token is shown here instead, once")
    say(f"{answer['token_id']}  {' '.join(answer['scopes'])}  token: {answer['token']}")


# -------------------------------------------------------------------------------------- users


@users.command("create")
def create_user(
    name: str,
    mixin_id: MixinId,
    token_file: TokenFile = None,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make a user. Deposits come from their Mixin wallet and money leaves only to it.

    The first token is shown once, or written to --token-file and not shown.
    """
    require_writable(token_file, "the token")
    body = {"name": name, "mixin_id": mixin_id}
    user = _keep(client_of(config, home).post("/users", body, key_of(key)), token_file)
    show(as_json, user, _created)


def _created(user: dict[str, Any]) -> None:
    say(f"{user['user_id']}  {user['name']}")
    _token(user)


@users.command("list")
def list_users(config: Config = None, home: Home = None, as_json: Json = False) -> None:
    """List the users."""
    show(as_json, client_of(config, home).get_all("/users"), _users)


@users.command("show")
def show_user(
    user_id: str, config: Config = None, home: Home = None, as_json: Json = False
) -> None:
    """Show one user."""
    user = client_of(config, home).get(f"/users/{part(user_id)}")
    show(as_json, user, lambda found: _users([found]))


def _users(found: list[dict[str, Any]]) -> None:
    rows = [
        (
            user["user_id"],
            user["name"],
            user["mixin_id"] or "none: poolmaker user bind",
            "disabled" if user["disabled_at_us"] else "enabled",
        )
        for user in found
    ]
    table(("id", "name", "Mixin wallet", "state"), rows)


@users.command("bind")
def bind_user(
    user_id: str,
    mixin_id: MixinId,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Bind the wallet of a user who has none: a payment from it proves that it is theirs.

    It needs a second person, unless the user does it with their own token of before.
    """
    client = client_of(config, home)
    claim = client.post(f"/users/{part(user_id)}/wallet", {"mixin_id": mixin_id}, key_of(key))
    show(as_json, claim, _claim)


def _claim(claim: dict[str, Any]) -> None:
    say(f"to prove it, pay any amount from the wallet {claim['mixin_id']} within a day:")
    say(f"  by link      {claim['link']}")
    say(f"  or with memo {claim['memo']}")
    say("the payment is credited to the user; one from another wallet is refunded")


@users.command("disable")
def disable_user(
    user_id: str,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Revoke a user's tokens and let them open nothing; their money stays theirs."""
    client = client_of(config, home)
    user = client.post(f"/users/{part(user_id)}/disable", {}, key_of(key))
    show(as_json, user, lambda found: _users([found]))


@users.command("enable")
def enable_user(
    user_id: str,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Let a disabled user open orders again; they need a new token."""
    client = client_of(config, home)
    user = client.post(f"/users/{part(user_id)}/enable", {}, key_of(key))
    show(as_json, user, lambda found: _users([found]))


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
    receipt = client.post(f"/users/{part(user_id)}/deposits", body, key_of(key))
    show(as_json, receipt, lambda r: say(f"credited {amount} {asset}: ledger entry {r['seq']}"))


# ------------------------------------------------------------------------------------- tokens


@user_tokens.command("create")
def create_user_token(
    user_id: str,
    scope: Scopes = None,
    days: Days = None,
    token_file: TokenFile = None,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """One more token for a user, shown once or written to --token-file."""
    require_writable(token_file, "the token")
    body = _wanted(scope, days)
    client = client_of(config, home)
    answer = client.post(f"/users/{part(user_id)}/tokens", body, key_of(key))
    show(as_json, _keep(answer, token_file), _token)


def _wanted(scope: list[str] | None, days: int | None) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if scope:
        body["scopes"] = scope
    if days is not None:
        body["days"] = days
    return body


@tokens.command("grant")
def grant_token(
    name: str,
    role: Annotated[str, typer.Option("--role", help="viewer, operator or treasurer.")],
    scope: Scopes = None,
    days: Days = None,
    token_file: TokenFile = None,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """A token for another person of the staff. It needs a second person, or a day."""
    require_writable(token_file, "the token")
    body = {"name": name, "role": role, **_wanted(scope, days)}
    answer = client_of(config, home).post("/tokens", body, key_of(key))
    show(as_json, _keep(answer, token_file), _token)


@tokens.command("list")
@user_tokens.command("list")
def list_tokens(
    user_id: Annotated[str | None, typer.Argument(help="Only those of this user.")] = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """List tokens: what they may do, until when, and which are revoked."""
    found = client_of(config, home).get_all("/tokens")
    mine = [one for one in found if user_id in (None, one["user_id"])]
    show(as_json, mine, _tokens)


def _tokens(found: list[dict[str, Any]]) -> None:
    rows = [
        (
            one["token_id"],
            one["role"],
            one["name"],
            "revoked" if one["revoked_at_us"] else "valid",
            " ".join(one["scopes"]),
        )
        for one in found
    ]
    table(("token", "role", "name", "state", "scopes"), rows)


@tokens.command("revoke")
@user_tokens.command("revoke")
def revoke_token(
    token_id: str,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Let a token in no more, from now on."""
    client = client_of(config, home)
    token = client.post(f"/tokens/{part(token_id)}/revoke", {}, key_of(key))
    show(as_json, token, lambda one: say(f"{one['token_id']} is revoked"))


@tokens.command("rotate")
@user_tokens.command("rotate")
def rotate_token(
    token_id: Annotated[
        str, typer.Argument(help="A token's id, or file-operator for the operator's own file.")
    ],
    token_file: TokenFile = None,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Put a new token in the place of an old one, which is let in no more."""
    if token_id.startswith("file-"):
        written = _rotate_file(settings_of(config, home), token_id.removeprefix("file-"))
        show(as_json, {"token_id": token_id, "file": str(written)}, lambda v: say(v["file"]))
        return
    require_writable(token_file, "the token")
    client = client_of(config, home)
    answer = client.post(f"/tokens/{part(token_id)}/rotate", {}, key_of(key))
    show(as_json, _keep(answer, token_file), _token)


def _rotate_file(settings: Any, role: str) -> Path:
    """Write a new token into the file of a role; the running platform takes it at once."""
    rng = app.load("kernel.rng").system_rng()
    files = app.load("app.tokens").token_files(settings)
    found: dict[str, Path] = {str(known.value): file for known, file in files.items()}
    if role not in found:
        raise PreconditionError(f"there is no token file of {role!r}; there is {', '.join(found)}")
    require_writable(found[role], "the token")
    token = app.load("api.tokens").fresh_token(rng)
    app.load("infra.postgres.passwords").write_private(found[role], token + "\n")
    return found[role]


# ---------------------------------------------------------------------------------- approvals


@approvals.command("list")
def list_approvals(
    ended: Annotated[bool, typer.Option("--ended", help="Also what is over.")] = False,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """List what waits for a second person, with everything that is approved."""
    path = "/approvals?ended=yes" if ended else "/approvals"
    show(as_json, client_of(config, home).get(path), _approvals)


def _approvals(found: list[dict[str, Any]]) -> None:
    rows = [
        (
            one["approval_id"],
            one["action"],
            one["subject"],
            one["state"],
            one["requested_by"],
            " ".join(f"{name}={value}" for name, value in one["body"].items()),
        )
        for one in found
    ]
    table(("approval", "action", "subject", "state", "requested by", "what"), rows)


@approvals.command("approve")
def approve(
    approval_id: str,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Say yes to what another person requested, who then sends it again."""
    client = client_of(config, home)
    found = client.post(f"/approvals/{part(approval_id)}/approve", {}, key_of(key))
    show(as_json, found, lambda one: _approvals([one]))


@approvals.command("cancel")
def cancel_approval(
    approval_id: str,
    key: Key = None,
    config: Config = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Take a request back, or refuse another's."""
    client = client_of(config, home)
    found = client.post(f"/approvals/{part(approval_id)}/cancel", {}, key_of(key))
    show(as_json, found, lambda one: _approvals([one]))
