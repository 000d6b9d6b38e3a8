"""The API's calls: each takes who calls and what he asks, and answers with data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from poolmaker.mixin.codec.encoding import Malformed
from poolmaker.mixin.codec.ids import check_uuid, conversation_id
from poolmaker.sandbox.mixin import refusals, render
from poolmaker.sandbox.mixin.auth import MixinCaller
from poolmaker.sandbox.mixin.catalog import CHAINS
from poolmaker.sandbox.mixin.crossing import Crossing
from poolmaker.sandbox.mixin.grants import ASSETS, PROFILE, SNAPSHOTS, Grants
from poolmaker.sandbox.mixin.model import Held, MixinPerson, OutputState, Request, Snapshot
from poolmaker.sandbox.mixin.post import Post, some
from poolmaker.sandbox.mixin.safe import Safe, SentTransaction
from poolmaker.sandbox.mixin.world import MixinNetwork

PAGE_MAX: Final = 500
IDS_MAX: Final = 500


@dataclass(frozen=True, slots=True)
class House:
    """The parts of one server."""

    world: MixinNetwork
    safe: Safe
    crossing: Crossing
    grants: Grants
    post: Post


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked: parts of the path, fields of the query, the body."""

    house: House
    caller: MixinCaller | None
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: Any

    @property
    def person(self) -> MixinPerson:
        """Whoever calls."""
        if self.caller is None:
            raise refusals.unauthorized("no caller")
        return self.caller.person


Handler = Callable[[Ask], Any]


@dataclass(frozen=True, slots=True)
class MixinCall:
    """A call: the scope it needs of a grant ("" for nobody's), or open to everybody."""

    handler: Handler
    scope: str = ""
    is_open: bool = False


# People and login


def _me(ask: Ask) -> Any:
    return render.me(ask.person, ask.house.world.server_key) | _app(ask)


def _app(ask: Ask) -> dict[str, Any]:
    person, owner = ask.person, ask.house.world.users[0]
    if person is not ask.house.world.bot:
        return {}
    return {"app": {"app_id": person.user_id, "creator_id": owner.user_id, "name": person.name}}


def _user(ask: Ask) -> Any:
    found = ask.house.world.people.get(ask.path["id"])
    if found is None:
        raise refusals.not_found()
    return render.user(found)


def _search(ask: Ask) -> Any:
    for one in ask.house.world.people.values():
        if one.identity_number == ask.path["id"]:
            return render.user(one)
    raise refusals.not_found()


def _users(ask: Ask) -> Any:
    people = ask.house.world.people
    return [render.user(people[one]) for one in _ids(ask.body) if one in people]


def _ids(body: Any) -> list[str]:
    if not isinstance(body, list) or len(body) > IDS_MAX:
        raise refusals.bad_field("ids")
    return [one for one in body if isinstance(one, str)]


def _token(ask: Ask) -> Any:
    return ask.house.grants.exchange(ask.body)


# Outputs and snapshots


def _outputs(ask: Ask) -> Any:
    world, query = ask.house.world, ask.query
    if query.get("state") and query["state"] not in set(OutputState):
        raise refusals.bad_field("state")
    members = query.get("members") or ask.person.members_hash
    found = world.outputs_of(members, _number(query, "threshold", 1), _number(query, "offset", 0))
    kept = [one for one in found if _fits(one, ask)]
    if query.get("order") == "DESC":
        kept.reverse()
    return [render.output(one) for one in kept[: _limit(query)]]


def _fits(held: Held, ask: Ask) -> bool:
    asset, state = ask.query.get("asset"), ask.query.get("state")
    return (
        ask.person.user_id in held.receivers
        and (not state or held.state == state)
        and (not asset or asset in {held.asset_id, render.kernel_id(held.asset_id)})
    )


def _output(ask: Ask) -> Any:
    for held in ask.house.world.outputs_of(ask.person.members_hash, 1, 0):
        shown = render.output(held)
        if shown["output_id"] == ask.path["id"]:
            return shown
    raise refusals.not_found()


def _some_outputs(ask: Ask) -> Any:
    """One's own outputs by their ids; unknown ones are left out."""
    body = ask.body if isinstance(ask.body, dict) else {}
    wanted = set(_ids(body.get("ids")))
    if body.get("user_id") != ask.person.user_id:
        raise refusals.forbidden()
    shown = (
        render.output(held)
        for held in ask.house.world.books.outputs.values()
        if ask.person.user_id in held.receivers
    )
    return [one for one in shown if one["output_id"] in wanted]


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, "")
    if text and not (text.isascii() and text.isdigit() and len(text) < 19):
        raise refusals.bad_field(name)
    return int(text) if text else default


def _limit(query: Mapping[str, str]) -> int:
    return max(1, min(PAGE_MAX, _number(query, "limit", PAGE_MAX)))


def _snapshots(ask: Ask) -> Any:
    """From ``offset`` on, which is included: forwards with ASC or an offset, else backwards."""
    query = ask.query
    offset = query.get("offset", "")
    forwards = query.get("order", "ASC" if offset else "DESC") == "ASC"
    kept = [one for one in _my_snapshots(ask) if _wanted(one, query)]
    if offset:
        at_us = render.read_instant(offset)
        kept = [one for one in kept if (one.time_us >= at_us if forwards else one.time_us <= at_us)]
    if not forwards:
        kept.reverse()
    return [render.snapshot(one) for one in kept[: _limit(query)]]


def _my_snapshots(ask: Ask) -> list[Snapshot]:
    return ask.house.world.books.snapshots.get(ask.person.user_id, [])


def _wanted(one: Snapshot, query: Mapping[str, str]) -> bool:
    asset, opponent, app = query.get("asset"), query.get("opponent"), query.get("app")
    return (
        (not asset or asset in {one.asset_id, render.kernel_id(one.asset_id)})
        and (not opponent or opponent == one.opponent_id)
        and (not app or app == one.user_id)
    )


def _snapshot(ask: Ask) -> Any:
    for one in _my_snapshots(ask):
        if one.snapshot_id == ask.path["id"]:
            return render.snapshot(one)
    raise refusals.not_found()


# Transactions


def _keys(ask: Ask) -> Any:
    body = ask.body.get("keys") if isinstance(ask.body, dict) else ask.body
    if not isinstance(body, list) or not 1 <= len(body) <= PAGE_MAX:
        raise refusals.bad_field("keys")
    return [render.lock(ask.house.safe.lock_for(*_lock_fields(one))) for one in body]


def _lock_fields(one: Any) -> tuple[list[str], int, str]:
    fields = one if isinstance(one, dict) else {}
    receivers, index, hint = fields.get("receivers"), fields.get("index"), fields.get("hint")
    if not isinstance(receivers, list) or not all(isinstance(name, str) for name in receivers):
        raise refusals.bad_field("receivers")
    if type(index) is not int or not isinstance(hint, str):
        raise refusals.bad_field("index or hint")
    try:
        return receivers, index, check_uuid(hint)
    except Malformed:
        raise refusals.bad_field("hint") from None


def _batch(body: Any) -> list[SentTransaction]:
    if not isinstance(body, list):
        raise refusals.bad_field("requests")
    found = []
    for one in body:
        fields = one if isinstance(one, dict) else {}
        request_id, raw = fields.get("request_id"), fields.get("raw")
        if not isinstance(request_id, str) or not isinstance(raw, str):
            raise refusals.bad_field("request_id or raw")
        found.append(SentTransaction(request_id, raw))
    return found


def _request(ask: Ask) -> Any:
    made = ask.house.safe.request(ask.person, _batch(ask.body))
    return [render.request(ask.house.world, one) for one in made]


def _submit(ask: Ask) -> Any:
    made = ask.house.safe.submit(ask.person, _batch(ask.body))
    said = [render.request(ask.house.world, one) for one in made]
    ask.house.safe.settle()
    return said


def _transaction(ask: Ask) -> Any:
    books, name = ask.house.world.books, ask.path["id"]
    found: Request | None = books.requests.get(name) or books.by_hash.get(name)
    if found is None:
        raise refusals.not_found()
    return render.request(ask.house.world, found)


# Assets, addresses, deposits


def _assets(ask: Ask) -> Any:
    return [render.asset(one) for one in ask.house.world.assets.values()]


def _asset(ask: Ask) -> Any:
    return render.asset(_asset_of(ask))


def _asset_of(ask: Ask) -> Any:
    found = ask.house.world.assets.get(ask.path["id"])
    if found is None:
        raise refusals.not_found()
    return found


def _chains(ask: Ask) -> Any:
    assets = ask.house.world.assets
    return [render.chain(assets[one]) for one in CHAINS]


def _chain(ask: Ask) -> Any:
    if ask.path["id"] not in CHAINS:
        raise refusals.not_found()
    return render.chain(ask.house.world.assets[ask.path["id"]])


def _some_assets(ask: Ask) -> Any:
    assets = ask.house.world.assets
    return [render.asset(assets[one]) for one in _ids(ask.body) if one in assets]


def _fees(ask: Ask) -> Any:
    asset = _asset_of(ask)
    destination = ask.query.get("destination", "")
    if destination and not asset.chain.address.fullmatch(destination):
        raise refusals.bad_address()
    return render.fees(asset)


def _check_address(ask: Ask) -> Any:
    asset = ask.house.world.asset(ask.query.get("asset", ""))
    destination = ask.query.get("destination", "")
    if not asset.chain.address.fullmatch(destination):
        raise refusals.bad_address()
    return {"destination": destination, "tag": ask.query.get("tag", ""), "fee": "0"}


def _entries(ask: Ask) -> Any:
    body = ask.body if isinstance(ask.body, dict) else {}
    members, threshold = body.get("members", [ask.person.user_id]), body.get("threshold", 1)
    chain_id = body.get("chain_id")
    if not isinstance(members, list) or not all(isinstance(one, str) for one in members):
        raise refusals.bad_field("members")
    if type(threshold) is not int or not isinstance(chain_id, str):
        raise refusals.bad_field("threshold or chain_id")
    if ask.person.user_id not in members:
        raise refusals.forbidden()
    return [render.entry(ask.house.crossing.entry(chain_id, members, threshold))]


def _deposits(ask: Ask) -> Any:
    query, world = ask.query, ask.house.world
    since_us = render.read_instant(query["offset"]) if query.get("offset") else 0
    wanted = [
        one
        for one in world.books.deposits.values()
        if not one.is_credited
        and query.get("asset", one.asset_id) == one.asset_id
        and query.get("destination", one.destination).lower() == one.destination.lower()
        and query.get("tag", one.tag) == one.tag
        and one.created_us >= since_us
    ]
    return [render.pending(world, one) for one in wanted[: _limit(query)]]


# Messages


def _messages(ask: Ask) -> Any:
    for one in some(ask.body):
        ask.house.post.send(ask.person, one)
    return {}


def _acknowledge(ask: Ask) -> Any:
    for one in some(ask.body):
        fields = one if isinstance(one, dict) else {}
        ask.house.post.acknowledge(ask.person, str(fields.get("message_id", "")))
    return {}


def _converse(ask: Ask) -> Any:
    body = ask.body if isinstance(ask.body, dict) else {}
    people = body.get("participants")
    others = [
        one["user_id"]
        for one in (people if isinstance(people, list) else [])
        if isinstance(one, dict) and isinstance(one.get("user_id"), str)
    ]
    if body.get("category") != "CONTACT" or len(others) != 1:
        raise refusals.bad_field("category or participants")
    other = ask.house.world.person(others[0])
    name = conversation_id(ask.person.user_id, other.user_id)
    if body.get("conversation_id") != name:
        raise refusals.bad_field("conversation_id")
    return ask.house.post.conversations.setdefault(name, _conversation(ask, name, other))


def _conversation(ask: Ask, name: str, other: MixinPerson) -> dict[str, Any]:
    at = render.instant(ask.house.world.time_us())
    members = (ask.person, other)
    return {
        "type": "conversation", "conversation_id": name, "creator_id": ask.person.user_id,
        "category": "CONTACT", "name": "", "icon_url": "", "announcement": "", "created_at": at,
        "code_id": "", "code_url": "", "mute_until": render.NEVER, "expire_in": 0,
        "participants": [
            {"type": "participant", "user_id": one.user_id, "role": "", "created_at": at}
            for one in members
        ],
        "participant_sessions": [], "circles": [],
    }  # fmt: skip


def _known_conversation(ask: Ask) -> Any:
    found = ask.house.post.conversations.get(ask.path["id"])
    if found is None:
        raise refusals.not_found()
    return found


CALLS: Final[Mapping[str, MixinCall]] = {
    "GET /me": MixinCall(_me, PROFILE),
    "GET /safe/me": MixinCall(_me, PROFILE),
    "GET /users/{id}": MixinCall(_user),
    "POST /users/fetch": MixinCall(_users),
    "GET /search/{id}": MixinCall(_search),
    "POST /oauth/token": MixinCall(_token, is_open=True),
    "GET /safe/outputs": MixinCall(_outputs, ASSETS),
    "GET /safe/outputs/{id}": MixinCall(_output, ASSETS),
    "POST /safe/outputs/fetch": MixinCall(_some_outputs, ASSETS),
    "GET /safe/snapshots": MixinCall(_snapshots, SNAPSHOTS),
    "GET /safe/snapshots/{id}": MixinCall(_snapshot, SNAPSHOTS),
    "POST /safe/keys": MixinCall(_keys),
    "POST /safe/transaction/requests": MixinCall(_request),
    "POST /safe/transactions": MixinCall(_submit),
    "GET /safe/transactions/{id}": MixinCall(_transaction, is_open=True),
    "GET /safe/assets": MixinCall(_assets, ASSETS),
    "GET /safe/assets/{id}": MixinCall(_asset, ASSETS),
    "GET /safe/assets/{id}/fees": MixinCall(_fees),
    "POST /safe/assets/fetch": MixinCall(_some_assets, ASSETS),
    "GET /network/assets/{id}": MixinCall(_asset, is_open=True),
    "GET /network/chains": MixinCall(_chains, is_open=True),
    "GET /network/chains/{id}": MixinCall(_chain, is_open=True),
    "GET /external/addresses/check": MixinCall(_check_address),
    "POST /safe/deposit/entries": MixinCall(_entries),
    "GET /safe/deposits": MixinCall(_deposits, is_open=True),
    "POST /messages": MixinCall(_messages),
    "POST /acknowledgements": MixinCall(_acknowledge),
    "POST /conversations": MixinCall(_converse),
    "GET /conversations/{id}": MixinCall(_known_conversation),
}


def find_call(method: str, path: str) -> tuple[str, dict[str, str]] | None:
    """The name of a call and the parts of its path."""
    plain = f"{method} {path}"
    if plain in CALLS:
        return plain, {}
    parts = path.split("/")
    for at in range(1, len(parts)):
        name = f"{method} {'/'.join([*parts[:at], '{id}', *parts[at + 1 :]])}"
        if name in CALLS:
            return name, {"id": parts[at]}
    return None
