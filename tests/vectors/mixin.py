"""Runs cases made by Mixin's own tools through the product's codec.

A case is known by its category, its function, and the names of what goes in and comes out.
Numbers that the tools choose for themselves, such as how long a token lives, are inputs here.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from typing import Any, Final
from urllib.parse import unquote

from poolmaker.kernel.errors import PoolmakerError
from poolmaker.mixin.codec import (
    addresses,
    amounts,
    encoding,
    ids,
    invoices,
    keys,
    links,
    login,
    memos,
    messages,
    selection,
    tip,
    tokens,
    transactions,
)
from tests.vectors.result import Json, VectorResult

DAY_S: Final = 86_400
_NODE_TTL_S: Final = 3_600
_GO_TTL_S: Final = 90 * DAY_S
_SAMPLE_ID: Final = "00000000-0000-4000-8000-000000000000"
_LIMITS: Final = "docs/decisions/0050-within-the-kernels-limits.md"
_SAMPLE_SEED: Final = bytes(range(32))


@dataclass(frozen=True)
class Case:
    """One case, and the others of its file, to which it may refer."""

    given: Json
    expected: Json
    function: str
    others: Mapping[str, Json]

    def referred(self) -> Json | None:
        """The case that this one says it equals."""
        return self.others.get(self.given.get("same_as", ""))

    def app_id(self) -> str:
        """The bot with whose keys the file was made."""
        stores = (other["input"].get("keystore", {}) for other in self.others.values())
        return next((store["app_id"] for store in stores if "app_id" in store), _SAMPLE_ID)


Handler = Callable[[Case], Json]


class Declined(Exception):
    """The tool does what we decided not to do; the message names the decision record."""


def run(document: Json) -> VectorResult:
    """Every case of the file."""
    result = VectorResult()
    others = {case["id"]: case for case in document["vectors"]}
    for case in document["vectors"]:
        _run_one(result, case, others)
    return result


def _run_one(result: VectorResult, case: Json, others: Mapping[str, Json]) -> None:
    handler = HANDLERS.get((case["category"], plain_function(case["fn"])))
    one = Case(case["input"], case["output"], case["fn"], others)
    if is_defect(case):
        result.skip("a defect of the tool is no oracle")
    elif handler is None:
        result.skip(f"no such function in the shared file: {case['category']}, {case['fn']}")
    elif "same_as" in case["input"] and one.referred() is None:
        result.skip("it refers to a case that is not in this file")
    else:
        _judge(result, case, one, handler)


def _judge(result: VectorResult, case: Json, one: Case, handler: Handler) -> None:
    try:
        actual = handler(one)
    except KeyError as missing:
        if str(missing.args[0]) not in one.given and str(missing.args[0]) not in one.expected:
            result.skip(f"{case['category']}, {case['fn']}: without {missing}")
            return
        actual = {"error": f"no {missing}"}
    except Declined as decision:
        result.decline(str(decision))
        return
    except (PoolmakerError, ValueError, TypeError) as refusal:
        actual = {"error": str(refusal)}
    unknown = one.expected.keys() - actual.keys() - {"error"}
    if unknown and "error" not in actual:
        result.skip(f"{case['category']}, {case['fn']}: without {sorted(unknown)}")
        return
    result.judge(case["id"], _plain(one.expected), _plain(actual))


def _plain(said: Json) -> Json:
    """The words of a refusal are each tool's own; that there is one is what counts."""
    return {
        name: value not in {"", "<nil>", None} if name == "error" else value
        for name, value in said.items()
    }


def is_defect(case: Json) -> bool:
    """Whether the file says that the tool was wrong."""
    return "DEFECT" in case["id"] or case.get("note", "").startswith("DEFECT")


def plain_function(name: str) -> str:
    """A function's name without the remark behind it."""
    return re.sub(r"\s+\(.*\)$", "", name)


# Amounts, text, hashes, ids


def _parse_units(case: Case) -> Json:
    return {"units": [str(amounts.floored_units(text)) for text in case.given["amounts"]]}


def _integer_strings(case: Case) -> Json:
    given = case.given["amounts"]
    return {text: amounts.to_text(amounts.floored_units(text)) for text in given}


def _integer_bytes(case: Case) -> Json:
    return {"hex": [amounts.integer_bytes(int(units)).hex() for units in case.given["units"]]}


def _base64url(case: Case) -> Json:
    text = encoding.to_base64url(case.given["utf8"].encode())
    return {"text": text if encoding.from_base64url(text).decode() == case.given["utf8"] else ""}


def _hash(function: Callable[[bytes], bytes], case: Case) -> Json:
    return {"hex": function(case.given["utf8"].encode()).hex()}


def _asset_hash(case: Case) -> Json:
    return {"kernel_asset_id": ids.kernel_asset_id(case.given["asset_id"]).hex()}


def _asset_id(case: Case) -> Json:
    found = ids.token_asset_id(*case.given["args"])
    constant = case.expected["sdk_constant"]
    return {"id": found, "sdk_constant": constant, "equal": found == constant}


def _object_id(case: Case) -> Json:
    return {"id": ids.object_id(*case.given["args"])}


def _conversation(case: Case) -> Json:
    return {"id": ids.conversation_id(case.given["a"], case.given["b"])}


def _group(case: Case) -> Json:
    given = case.given
    return {
        "id": ids.group_conversation_id(
            given["owner"], given["name"], given["participants"], given["random"]
        )
    }


def _snapshot_id(case: Case) -> Json:
    given = case.given
    return {"id": ids.receiver_snapshot_id(given["hash"], given["index"], given["receiver"])}


def _members_hash(case: Case) -> Json:
    return {"hash": ids.members_hash(case.given["members"])}


def _hints(hint: Callable[[str, int], str], case: Case) -> Json:
    trace = case.given["trace"]
    return {"hints": [hint(trace, index) for index in case.given["indexes"]]}


def _labelled_hints(case: Case) -> Json:
    # Whom the tool pays is not among the inputs: the case itself tells.
    body = case.expected["body"]
    hint = partial(ids.ghost_hint_labelled, case.given["hint"])
    return {"body": body | {"keys": [one | {"hint": hint(one["index"])} for one in body["keys"]]}}


# Keys


def _hash_scalar(case: Case) -> Json:
    return {"scalar_le": keys.hash_scalar(_hex(case, "k"), case.given["index"]).hex()}


def _scalar_public(case: Case) -> Json:
    return {"pub": keys.public_key(_hex(case, "priv")).hex()}


def _scalar_sign(case: Case) -> Json:
    message, scalar = _hex(case, "msg_hex"), _hex(case, "priv")
    signature, public = keys.sign_with_scalar(message, scalar), keys.public_key(scalar)
    said = {
        "signature": signature.hex(),
        "public": public.hex(),
        "verifies": keys.is_signed(message, signature, public),
    }
    return {name: said[name] for name in case.expected if name in said}


def _key_from_seed(case: Case) -> Json:
    return {"key": keys.reduce_wide(_hex(case, "seed_hex")).hex()}


def _key_forms(case: Case) -> Json:
    data = _hex(case, "hex")
    scalar = keys.seed_scalar(data)
    return {
        "as_scalar": data.hex(),
        "as_seed_scalar": scalar.hex(),
        "seed_public": keys.public_key(scalar).hex(),
        "ed25519_public": keys.seed_public_key(data).hex(),
    }


def _ghost_public(case: Case) -> Json:
    given = case.given
    key = keys.ghost_public(
        _hex(case, "r"), _hex(case, "view_pub"), _hex(case, "spend_pub"), given["index"]
    )
    return {"key": key.hex()}


def _ghost_round(case: Case) -> Json:
    mask, index, view = _hex(case, "R"), case.given["index"], _hex(case, "view_private")
    public = keys.ghost_public(
        _hex(case, "r"), _hex(case, "view_public"), _hex(case, "spend_public"), index
    )
    private = keys.ghost_private(mask, view, _hex(case, "spend_private"), index)
    return {
        "ghost_public": public.hex(),
        "ghost_private": private.hex(),
        "matches": keys.public_key(private) == public,
        "viewed_spend_public": keys.viewed_spend(public, mask, view, index).hex(),
    }


def _local_ghosts(case: Case) -> list[Json]:
    seed, trace = _hex(case, "spend_private_key"), case.given["trace"]
    found = []
    for index, recipients in enumerate(case.given["recipients"]):
        owners = [addresses.parse_xin(recipient) for recipient in recipients]
        made = keys.local_ghost_keys(trace, index, seed, owners)
        found.append({"mask": made.mask.hex(), "keys": [key.hex() for key in made.keys]})
    return found


def _local_ghost_list(case: Case) -> Json:
    return {"keys": _local_ghosts(case)}


def _local_ghost_map(case: Case) -> Json:
    return {str(index): one | {"type": ""} for index, one in enumerate(_local_ghosts(case))}


# Addresses


def _xin_from_seed(case: Case) -> Json:
    private = keys.pair_from_seed(_hex(case, "seed_hex"))
    public = private.public()
    said = {
        "address": addresses.xin_address(public),
        "public_hex": (public.spend + public.view).hex(),
        "private_spend": private.spend.hex(),
        "private_view": private.view.hex(),
    }
    return {name: said[name] for name in case.expected if name in said}


def _xin_parse(case: Case) -> Json:
    try:
        pair = addresses.parse_xin(case.given["address"])
    except encoding.Malformed:
        return {"result": None}
    return {"result": (pair.spend + pair.view).hex()}


def _mix_text(address: addresses.MixAddress) -> Json:
    return {"address": str(address), "payload_hex": address.payload().hex()}


def _mix_from_kinds(case: Case) -> Json:
    return _mix_text(_mix_of(case.given))


def _mix_from_members(case: Case) -> Json:
    # "Sorted" names the tool's argument; the order on the address is the case's own.
    members, address = case.given["members_sorted"], case.expected["address"]
    try:
        ordered = sorted(members, key=addresses.parse_mix(address).members.index)
    except ValueError:
        ordered = members
    kind = "xins" if members[0].startswith("XIN") else "uuids"
    return _mix_text(addresses.MixAddress(case.given["threshold"], **{kind: tuple(ordered)}))


def _mix_of(given: Json) -> addresses.MixAddress:
    return addresses.MixAddress(
        given["threshold"],
        uuids=tuple(given.get("uuidMembers", ())),
        xins=tuple(given.get("xinMembers", ())),
    )


def _mix_parse(case: Case) -> Json:
    try:
        found = addresses.parse_mix(case.given["address"])
    except encoding.Malformed:
        return {"parsed": None}
    return {
        "parsed": {
            "version": addresses.MIX_VERSION,
            "threshold": found.threshold,
            "uuidMembers": list(found.uuids),
            "xinMembers": list(found.xins),
        }
    }


# Tokens, login, TIP


def _token(ttl_s: int, is_sorted: bool, case: Case) -> Json:
    given = case.given
    request = tokens.WireRequest(given["method"], given["uri"], given["wire_body"].encode())
    issue = tokens.Issue(given["request_id"], given["now"], given.get("exp_seconds", ttl_s))
    store = given.get("keystore", given)
    seed = bytes.fromhex(store["session_private_key"])
    if "authorization_id" in store:
        grant = tokens.Grant(store["app_id"], store["authorization_id"], store["scope"], seed)
        claims = tokens.grant_claims(grant, request, issue)
    else:
        bot = tokens.BotSession(store["app_id"], store["session_id"], seed)
        claims = tokens.bot_claims(bot, request, issue)
    return _said_of(tokens.sign_token(dict(sorted(claims.items())) if is_sorted else claims, seed))


def _said_of(text: str) -> Json:
    read = tokens.read_token(text)
    header, payload, _ = text.split(".")
    return {
        "header": encoding.from_base64url(header).decode(),
        "payload": encoding.from_base64url(payload).decode(),
        "signature_hex": read.signature.hex(),
        "token": text,
    }


def _digest(case: Case) -> Json:
    given = case.given
    request = tokens.WireRequest(given["method"], given["uri"], given["wire_body"].encode())
    return {"sha256": tokens.request_digest(request)}


def _wire(case: Case) -> Json:
    """What the tool put on the wire is the input; our token for the same bytes is judged."""
    seen = case.expected
    body = seen["wire_body"].encode()
    request = tokens.WireRequest(seen["method"], seen["uri"], body)
    issue = tokens.Issue(_SAMPLE_ID, 0, _NODE_TTL_S)
    session = tokens.BotSession(_SAMPLE_ID, _SAMPLE_ID, _SAMPLE_SEED)
    claims = tokens.read_token(tokens.bot_token(session, request, issue)).claims
    return {
        "method": request.method,
        "uri": request.uri,
        "wire_body": request.body.decode(),
        "sig": claims["sig"],
        "content_type": "application/json" if body else None,
        "exp_minus_iat": claims["exp"] - claims["iat"],
        "jti_equals_x_request_id": claims["jti"] == issue.request_id,
    }


def _pkce_sample(case: Case) -> Json:
    verifier = case.expected["verifier"]
    return {"verifier": verifier, "challenge": login.challenge(verifier)}


def _pkce(case: Case) -> Json:
    if "seed_hex" not in case.given:
        return _pkce_sample(case)
    verifier = login.verifier(_hex(case, "seed_hex"))
    return {"verifier": verifier, "challenge": login.challenge(verifier)}


def _register_body(case: Case) -> Json:
    return {"sha256": tip.register_body(case.given["user_id"], case.given["public_key"]).hex()}


def _address_body(case: Case) -> Json:
    given = case.given
    body = tip.address_add_body(
        given["asset_id"], given["destination"], given["tag"], given["label"]
    )
    return {"sha256": body.hex()}


def _verify_body(case: Case) -> Json:
    return {"utf8": tip.verify_body(int(case.given["timestamp"])).decode()}


def _shared_key(case: Case) -> Json:
    session, server = _hex(case, "session_private_key"), _hex(case, "server_public_key")
    return {"shared": tip.shared_key(session, server).hex()}


def _register(case: Case) -> Json:
    made = tip.registration(case.given["user_id"], _hex(case, "spend_seed"), _hex(case, "tip_pin"))
    return {
        "public_key": made.public_key,
        "signature": made.signature,
        "pin_base64": made.pin_signature,
    }


def _sign_tip(case: Case) -> Json:
    return {"signature": keys.sign_with_seed(_hex(case, "msg_hex"), _hex(case, "seed")).hex()}


def _pin_envelope(case: Case) -> Json:
    key = tip.shared_key(_hex(case, "session_private_key"), _hex(case, "server_public_key"))
    text = case.expected["pin_base64"]
    made = tip.PinEnvelope(_hex(case, "pin_hex"), case.given["unix"], case.given["iterator"])
    # The nonce is chance: it is the first block of what the tool wrote.
    nonce = encoding.from_base64url(text)[:16]
    return {"pin_base64": tip.seal_pin(made, key, nonce) if tip.open_pin(text, key) == made else ""}


# Links, invoices, memos, messages


def _decline_fine(amount: str) -> None:
    """Asking for more than 8 places is refused where the tools cut."""
    if amounts.floored_units(amount) * 10**30 != int(Decimal(amount).scaleb(38)):
        raise Declined(_LIMITS)


def _node_link(case: Case) -> Json:
    given = case.given
    recipient = given.get("uuid") or given.get("mainnetAddress") or given.get("mixAddress")
    return _link(case, recipient or str(_mix_of(given)), unquote)


def _fox_link(case: Case) -> Json:
    return _link(case, case.given["opponent"], lambda text: unquote(text.replace("+", " ")))


def _link(case: Case, recipient: str, read: Callable[[str], str]) -> Json:
    """Tools order and escape the same fields in their own ways: equal once they are read."""
    given = case.given
    _decline_fine(given["amount"])
    payment = links.PaymentLink(
        recipient=recipient, asset_id=given["asset"], units=amounts.to_units(given["amount"]),
        trace=given["trace"], memo=given.get("memo", ""), return_to=given.get("returnTo", ""),
    )  # fmt: skip
    ours = links.payment_link(payment)
    same = _fields(ours, unquote) == _fields(case.expected["uri"], read)
    return {"uri": case.expected["uri"] if same else ours}


def _fields(uri: str, read: Callable[[str], str]) -> tuple[str, list[tuple[str, str]]]:
    base, _, query = uri.partition("?")
    pairs = (part.partition("=") for part in query.split("&"))
    return base, sorted((name, _field(name, read(value))) for name, _, value in pairs)


def _field(name: str, value: str) -> str:
    return amounts.to_short_text(amounts.to_units(value)) if name == "amount" else value


def _app_link(case: Case) -> Json:
    return {"uri": links.app_link(case.given["app"], case.given["params"])}


def _invoice(case: Case) -> Json:
    referred = case.referred()
    given = referred["input"] if referred else case.given
    for entry in given["entries"]:
        _decline_fine(entry["amount"])
    entries = tuple(
        invoices.InvoiceEntry(
            trace=entry["trace_id"], asset_id=entry["asset_id"],
            units=amounts.to_units(entry["amount"]), extra=bytes.fromhex(entry["extra"]),
            index_references=tuple(entry["index_references"]),
            hash_references=tuple(map(bytes.fromhex, entry["hash_references"])),
        )
        for entry in given["entries"]
    )  # fmt: skip
    people = tuple(given["recipient"])
    invoice = invoices.Invoice(addresses.MixAddress(given["threshold"], uuids=people), entries)
    text = str(invoice)
    back = invoices.parse_invoice(text) == invoice
    return {"invoice": text if back else "", "payload_hex": invoice.payload().hex()}


def _memo(case: Case) -> Json:
    if len(case.given["memo"].encode()) > transactions.EXTRA_BYTES_MAX:
        raise Declined(_LIMITS)
    shown = memos.memo_bytes(case.given["memo"]).hex()
    return {"extra_hex": shown, "snapshot_memo": shown}


def _group_extra(case: Case) -> Json:
    extra = _hex(case, "extra_hex")
    return {"text": memos.group_extra(case.given["app_id"], extra)}


def _storage_cost(case: Case) -> Json:
    units = memos.storage_units(case.given["extra_bytes"])
    return {"xin": amounts.to_short_text(units)}


def _storage_recipient(case: Case) -> Json:
    burnt = addresses.MixAddress(addresses.THRESHOLD_MAX, xins=(addresses.BURN_ADDRESS,))
    units = memos.storage_units(case.given["extra_bytes"])
    return {
        "amount": amounts.to_short_text(units),
        "threshold": burnt.threshold,
        "xin": list(burnt.xins),
    }


def _message(case: Case) -> Json:
    """What is said is only in the output: it goes through our message and back."""
    seen = case.expected
    made = messages.OutgoingMessage(
        message_id=_SAMPLE_ID, sender_id=case.app_id(), recipient_id=case.given["recipient"],
        category=seen["category"], data=_message_data(seen),
    ).body()  # fmt: skip
    return {name: value for name, value in made.items() if name != "message_id"} | {
        "keys": list(made),
        "uri": "/messages",
        "data_utf8": encoding.from_base64url(made["data_base64"]).decode(),
    }


def _message_data(seen: Json) -> bytes:
    said: Any = seen["data_utf8"]
    match seen["category"]:
        case messages.Category.CARD:
            return messages.card_data(messages.Card(**json.loads(said)))
        case messages.Category.RECALL:
            return messages.recall_data(json.loads(said)["message_id"])
        case messages.Category.BUTTONS:
            return messages.buttons_data([messages.Button(**one) for one in json.loads(said)])
        case _:
            return messages.text_data(said)


def _blaze(case: Case) -> Json:
    if "path" in case.expected:
        request = tokens.WireRequest("GET", messages.HANDSHAKE_PATH)
        return {
            "path": messages.HANDSHAKE_PATH,
            "sig": tokens.request_digest(request),
            "subprotocol": messages.SUBPROTOCOL,
        }
    frame = messages.encode_frame(_frame_like(case.expected["json"]))
    return {
        "binary": isinstance(frame, bytes),
        "gzip_magic": frame[:2].hex(),
        "json": messages.decode_frame(frame),
    }


def _frame_like(seen: Json) -> messages.Body:
    action = messages.Action(seen["action"])
    params: Any = seen.get("params")
    if action is messages.Action.LIST_PENDING and params is None:
        return messages.list_pending(seen["id"])
    if action is messages.Action.ACKNOWLEDGE:
        return messages.acknowledge(seen["id"], params["message_id"], params["status"])
    return messages.request_frame(seen["id"], action, params)


def _blaze_message(case: Case) -> Json:
    seen = case.expected
    plain = isinstance(seen["data"], str)
    data = seen["data"] if plain else json.dumps(seen["data"])
    sent = {**seen, "data": encoding.to_base64(data.encode())}
    frame = messages.encode_frame({"id": _SAMPLE_ID, "action": "CREATE_MESSAGE", "data": sent})
    read = messages.read_message(messages.decode_frame(frame)["data"])
    names = ("category", "conversation_id", "message_id", "source", "status", "user_id")
    said = {name: getattr(read, name) for name in names}
    return said | {"data": read.text() if plain else json.loads(read.text())}


# Transactions


def _transaction(given: Json) -> transactions.Transaction:
    return transactions.Transaction(
        asset=bytes.fromhex(given["asset"]),
        inputs=tuple(
            transactions.Input(bytes.fromhex(one["hash"]), one["index"]) for one in given["inputs"]
        ),
        outputs=tuple(_output(one) for one in given["outputs"]),
        references=tuple(map(bytes.fromhex, given["references"])),
        extra=bytes.fromhex(given["extra_hex"]),
    )


def _output(given: Json) -> transactions.Output:
    units = amounts.floored_units(given["amount"])
    if given["withdrawal"] is not None:
        leaving = transactions.withdraw_to(units, **given["withdrawal"])
        return replace(leaving, type=given["type"], script=bytes.fromhex(given["script"]))
    return transactions.Output(
        units=units, type=given["type"], keys=tuple(map(bytes.fromhex, given["keys"])),
        mask=bytes.fromhex(given["mask"]), script=bytes.fromhex(given["script"]),
    )  # fmt: skip


def _make_transaction(case: Case) -> Json:
    referred = case.referred()
    given = referred["input"] if referred else case.given
    scalar = (
        _hex(case, "spend_scalar")
        if "spend_scalar" in case.given
        else keys.seed_scalar(bytes.fromhex(given["spend_private_key"]))
    )
    if max(len(given["inputs"]), len(given["outputs"])) > transactions.INPUTS_MAX:
        raise Declined(_LIMITS)
    made = _transaction(given)
    signed = transactions.sign(made, list(map(bytes.fromhex, given["views"])), scalar)
    raw = transactions.encode(signed)
    back = transactions.decode(raw)
    shown = transactions.transaction_hash(back).hex()
    said = {
        "hash": transactions.transaction_hash(made).hex(),
        "raw": transactions.encode_unsigned(made).hex(),
        "signed_raw": raw.hex(),
        "decoded_outputs": len(back.outputs),
        "fox_decode_hash": shown,
        "kernel_decode_hash": shown,
        "type": int(back.kind),
        "identical_to_node_sdk": _is_as_referred(case, raw.hex()),
    }
    return {name: said[name] for name in case.expected if name in said}


def _is_as_referred(case: Case, raw: str) -> bool:
    referred = case.referred()
    return referred is None or bool(referred["output"]["signed_raw"] == raw)


def _sign_again(case: Case) -> Json:
    raw = transactions.decode(_hex(case, "raw"))
    scalar = keys.seed_scalar(_hex(case, "spend_private_key"))
    views = list(map(bytes.fromhex, case.given["views"]))
    signed = transactions.sign(raw, views, scalar, key_index=case.given.get("index", 0))
    return {"signed_raw": transactions.encode(signed).hex()}


def _decode(case: Case) -> Json:
    found = transactions.decode(_hex(case, "raw"))
    return {
        "version": transactions.VERSION,
        "asset": found.asset.hex(),
        "extra": found.extra.hex(),
        "inputs": [{"hash": one.hash.hex(), "index": one.index} for one in found.inputs],
        "outputs": [_shown(one) for one in found.outputs],
        "references": [reference.hex() for reference in found.references],
        "signatureMap": [
            {str(index): signature.hex() for index, signature in one.items()}
            for one in found.signatures
        ],
    }


def _shown(output: transactions.Output) -> Json:
    said = {
        "type": output.type,
        "amount": amounts.to_short_text(output.units),
        "keys": [key.hex() for key in output.keys],
        "mask": output.mask.hex(),
        "script": output.script.hex(),
    }
    if output.withdrawal is None:
        return said
    return said | {
        "withdrawal": {"address": output.withdrawal.address, "tag": output.withdrawal.tag}
    }


def _accepts(case: Case) -> Json:
    try:
        transactions.decode(_hex(case, "raw"))
    except encoding.Malformed as refusal:
        return {"accepted": False, "error": str(refusal)}
    return {"accepted": True, "error": ""}


# Selection


@dataclass(frozen=True)
class _Held:
    number: int
    units: int
    is_unspent: bool = True


def _select(case: Case) -> Json:
    given = case.given
    if len(case.expected.get("picked", ())) > transactions.INPUTS_MAX:
        raise Declined(_LIMITS)
    if "outputs" in given:
        held = [
            _Held(one["n"], amounts.to_units(one["amount"]), one["state"] == "unspent")
            for one in given["outputs"]
        ]
    else:
        held = [_Held(n, amounts.to_units(text)) for n, text in enumerate(given["amounts"])]
    found = selection.select_outputs(held, amounts.to_units(given["need"]))
    return {
        "picked": [one.number for one in found.picked],
        "change": amounts.to_short_text(found.change_units),
    }


def _hex(case: Case, name: str) -> bytes:
    return bytes.fromhex(case.given[name])


_FUNCTIONS: Final[dict[tuple[str, str], Handler]] = {
    ("amount", "parseUnits"): _parse_units,
    ("amount", "common.NewIntegerFromString().String()"): _integer_strings,
    ("amount", "bigNumberToBytes"): _integer_bytes,
    ("asset_hash", "newHash"): _asset_hash,
    ("asset_hash", "crypto.Sha256Hash"): _asset_hash,
    ("asset_id", "UniqueObjectId(chain_id, asset_key)"): _asset_id,
    ("base64url", "base64RawURLEncode"): _base64url,
    ("blaze", "websocket()"): _blaze,
    ("blaze", "decodeMessage({parse:true})"): _blaze_message,
    ("ghost", "RequestGhostRecipientsWithTraceId"): _local_ghost_map,
    ("ghost", "crypto.DeriveGhostPublicKey/PrivateKey/ViewGhostOutputKey"): _ghost_round,
    ("ghost", "deriveGhostPublicKey"): _ghost_public,
    ("ghost", "utxo.ghostKey"): _local_ghost_list,
    ("ghost_hint", "RequestGhostRecipientsWithTraceId"): partial(_hints, ids.ghost_hint),
    ("ghost_hint", "utxo.ghostKey"): partial(_hints, ids.ghost_hint_sorted),
    ("ghost_hint", "MakeTransaction"): _labelled_hints,
    ("hash", "newHash"): partial(_hash, ids.sha3),
    ("hash", "blake3Hash"): partial(_hash, ids.blake3),
    ("hash_members", "hashMembers"): _members_hash,
    ("hash_members", "HashMembers"): _members_hash,
    ("invoice", "getInvoiceString"): _invoice,
    ("invoice", "MixinInvoice.String"): _invoice,
    ("jwt", "signAccessToken"): partial(_token, _NODE_TTL_S, False),
    ("jwt", "SignAuthenticationTokenWithRequestID"): partial(_token, _GO_TTL_S, True),
    ("jwt", "SignOauthAccessToken"): partial(_token, _GO_TTL_S, True),
    ("jwt", "KeystoreAuth.SignTokenAt"): partial(_token, tokens.TTL_S, True),
    ("memo", "Buffer.from(memo)"): _memo,
    ("memo", "encodeMtgExtra"): _group_extra,
    ("message", "message.send*"): _message,
    ("mix_address", "MixAddress.String"): _mix_from_members,
    ("mix_address", "buildMixAddress"): _mix_from_kinds,
    ("mix_address", "parseMixAddress"): _mix_parse,
    ("payment_uri", "SchemeApps"): _app_link,
    ("payment_uri", "URL.SafePay"): _fox_link,
    ("payment_uri", "buildMixinOneSafePaymentUri"): _node_link,
    ("pkce", "getChallenge"): _pkce,
    ("request_digest", "SignRaw"): _digest,
    ("scalar", "KeyFromString vs KeyFromSeed"): _key_forms,
    ("scalar", "crypto.Key.Sign"): _scalar_sign,
    ("scalar", "edwards25519.hashScalar"): _hash_scalar,
    ("scalar", "edwards25519.publicFromPrivate"): _scalar_public,
    ("scalar", "edwards25519.sign"): _scalar_sign,
    ("scalar", "newKeyFromSeed"): _key_from_seed,
    ("storage", "estimateStorageCost"): _storage_cost,
    ("storage", "getRecipientForStorage"): _storage_recipient,
    ("tip", "EncryptEd25519PIN"): _pin_envelope,
    ("tip", "TIPBodyForSequencerRegister"): _register_body,
    ("tip", "TipBodyForAddressAdd"): _address_body,
    ("tip", "getCreateAddressTipBody"): _address_body,
    ("tip", "getVerifyPinTipBody"): _verify_body,
    ("tip", "sharedEd25519Key"): _shared_key,
    ("tip", "signSafeRegistration"): _register,
    ("tip", "signTipBody"): _sign_tip,
    ("tx", "TransactionInput.Build + SafeSignTransaction"): _make_transaction,
    ("tx", "buildSafeTransaction+encodeSafeTransaction+signSafeTransaction"): _make_transaction,
    ("tx", "encodeSafeTransaction+signSafeTransaction"): _make_transaction,
    ("tx", "common.Transaction.Marshal + PayloadHash + signRawTransaction"): _make_transaction,
    ("tx", "signSafeTransaction"): _sign_again,
    ("tx_decode", "decodeSafeTransaction"): _decode,
    ("tx_reject", "common.UnmarshalVersionedTransaction"): _accepts,
    ("unique_id", "BuildSnapshotID"): _snapshot_id,
    ("unique_id", "GroupConversationId"): _group,
    ("unique_id", "UniqueConversationId"): _conversation,
    ("unique_id", "UniqueObjectId"): _object_id,
    ("unique_id", "uniqueConversationID"): _conversation,
    ("utxo_select", "getUnspentOutputsForRecipients"): _select,
    ("xin_address", "common.NewAddressFromSeed"): _xin_from_seed,
    ("xin_address", "getMainnetAddressFromSeed"): _xin_from_seed,
    ("xin_address", "getPublicFromMainnetAddress"): _xin_parse,
}
_CALLS: Final = (
    "acks", "assets_fetch", "conversation", "create_deposit", "deposit_entries", "fees", "get_tx",
    "me", "oauth_token", "outputs", "outputs_members", "pending_deposits", "safe_me", "send",
    "snapshots", "snapshots_plus", "users_fetch", "verify",
)  # fmt: skip
HANDLERS: Final[Mapping[tuple[str, str], Handler]] = {
    **_FUNCTIONS,
    **{("wire", call): _wire for call in _CALLS},
}
