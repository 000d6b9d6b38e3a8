"""What the codec refuses: mixin invariant 2, nothing is cut, rounded or guessed."""

from __future__ import annotations

import gzip
import json
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
)

USDT = "4d8c508b-91c5-375b-92b0-ee702ed2dac5"
BOT = "11111111-2222-4333-8444-555555555555"
TRACE = "12345678-1234-4234-8234-123456789abc"


@pytest.mark.parametrize(
    "text",
    ["0.123456789", "1e-8", "-1", "+1", "", ".5", "1.", "1,5", "٣", " 1", "1 ", "NaN", "1_000"],
)
def test_an_amount_that_is_not_plain_or_too_fine_is_refused(text: str) -> None:
    with pytest.raises(encoding.Malformed):
        amounts.to_units(text)


def test_zeros_beyond_the_eighth_place_lose_nothing() -> None:
    assert amounts.to_units("1.2300000000") == 123_000_000
    assert amounts.to_units_signed("-0.5") == -50_000_000


@given(st.integers(min_value=0, max_value=10**30))
def test_units_survive_both_ways_of_writing_them(units: int) -> None:
    assert amounts.to_units(amounts.to_text(units)) == units
    assert amounts.to_units(amounts.to_short_text(units)) == units


@pytest.mark.parametrize("text", ["Zg==", "Zh", "Z", "Zg\n", "+/", "Z g"])
def test_base64url_has_one_form(text: str) -> None:
    with pytest.raises(encoding.Malformed):
        encoding.from_base64url(text)


@pytest.mark.parametrize("text", ["0", "0G", "AB", " 00"])
def test_hex_has_one_form(text: str) -> None:
    with pytest.raises(encoding.Malformed):
        encoding.from_hex(text)


@given(st.binary(max_size=80))
def test_base58_survives(data: bytes) -> None:
    assert encoding.from_base58(encoding.to_base58(data)) == data


def test_base58_knows_no_other_letters() -> None:
    with pytest.raises(encoding.Malformed):
        encoding.from_base58("0OIl")


@pytest.mark.parametrize(
    "scalar",
    [bytes(32), bytes(31), keys.ORDER.to_bytes(32, "little"), b"\xff" * 32, bytes(33)],
)
def test_a_scalar_that_is_not_canonical_is_refused(scalar: bytes) -> None:
    with pytest.raises(encoding.Malformed):
        keys.check_scalar(scalar)


SMALL_ORDER = bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05")
IDENTITY = b"\x01" + bytes(31)
NOT_CANONICAL = b"\xee" + b"\xff" * 30 + b"\x7f"


@pytest.mark.parametrize("point", [SMALL_ORDER, IDENTITY, NOT_CANONICAL, bytes(32), bytes(31)])
def test_a_point_outside_the_prime_order_group_is_refused(point: bytes) -> None:
    with pytest.raises(encoding.Malformed):
        keys.check_point(point)
    with pytest.raises(encoding.Malformed):
        keys.shared_point(keys.seed_scalar(bytes(32)), point)


def test_a_signature_counts_for_its_message_and_key_only() -> None:
    scalar = keys.seed_scalar(bytes(range(32)))
    signature = keys.sign_with_scalar(b"message", scalar)
    assert keys.is_signed(b"message", signature, keys.public_key(scalar))
    assert not keys.is_signed(b"messagf", signature, keys.public_key(scalar))
    assert not keys.is_signed(b"message", signature[:-1], keys.public_key(scalar))
    malleable = int.from_bytes(signature[32:], "little") + keys.ORDER
    other = signature[:32] + malleable.to_bytes(32, "little")
    assert not keys.is_signed(b"message", other, keys.public_key(scalar))


def test_an_owner_finds_and_opens_what_was_locked_for_him() -> None:
    private = keys.pair_from_seed(b"\x07" * 64)
    mask_scalar = keys.seed_scalar(b"\x09" * 32)
    made = keys.ghost_keys(mask_scalar, [private.public()], 5)
    opened = keys.ghost_private(made.mask, private.view, private.spend, 5)
    assert keys.public_key(opened) == made.keys[0]
    assert keys.viewed_spend(made.keys[0], made.mask, private.view, 5) == private.public().spend


@given(st.lists(st.uuids(), min_size=1, max_size=64), st.data())
@settings(max_examples=30)
def test_a_mix_address_survives_and_a_changed_letter_is_noticed(
    people: list[object], data: st.DataObject
) -> None:
    threshold = data.draw(st.integers(1, len(people)))
    address = addresses.MixAddress(threshold, uuids=tuple(str(one) for one in people))
    text = str(address)
    assert addresses.parse_mix(text) == address
    at = data.draw(st.integers(3, len(text) - 1))
    letter = "2" if text[at] != "2" else "3"
    with pytest.raises(encoding.Malformed):
        addresses.parse_mix(text[:at] + letter + text[at + 1 :])


@pytest.mark.parametrize(("threshold", "count"), [(0, 1), (2, 1), (1, 0), (65, 65)])
def test_a_mix_address_that_nobody_could_use_is_refused(threshold: int, count: int) -> None:
    with pytest.raises(encoding.Malformed):
        addresses.MixAddress(threshold, uuids=(BOT,) * count)


def _request() -> tokens.WireRequest:
    return tokens.WireRequest("GET", "/me?a=b%20c")


def _token() -> str:
    session = tokens.BotSession(BOT, TRACE, bytes(range(32)))
    return tokens.bot_token(session, _request(), tokens.Issue(TRACE, 1_000))


def test_a_token_is_read_and_believed_by_its_key_only() -> None:
    token = tokens.read_token(_token())
    assert token.claims["sig"] == tokens.request_digest(_request())
    assert token.is_by(keys.seed_public_key(bytes(range(32))))
    assert not token.is_by(keys.seed_public_key(bytes(32)))


def test_the_digest_covers_every_byte_on_the_wire() -> None:
    plain = tokens.request_digest(_request())
    assert tokens.request_digest(tokens.WireRequest("get", "/me?a=b%20c")) == plain
    for other in (
        tokens.WireRequest("POST", "/me?a=b%20c"),
        tokens.WireRequest("GET", "/me?a=b+c"),
        tokens.WireRequest("GET", "/me?a=b%20c", b" "),
    ):
        assert tokens.request_digest(other) != plain


@pytest.mark.parametrize("spoil", ["none", "HS256", "truncate", "pad", "array"])
def test_a_token_of_another_form_is_refused(spoil: str) -> None:
    header, claims, signature = _token().split(".")
    forms = {
        "none": f"{_part({'alg': 'none'})}.{claims}.{signature}",
        "HS256": f"{_part({'alg': 'HS256'})}.{claims}.{signature}",
        "truncate": f"{header}.{claims}",
        "pad": f"{header}.{claims}.{signature}==",
        "array": f"{header}.{_part([1])}.{signature}",
    }
    with pytest.raises(encoding.Malformed):
        tokens.read_token(forms[spoil])


def _part(value: object) -> str:
    return encoding.to_base64url(json.dumps(value).encode())


@pytest.mark.parametrize(
    ("now_s", "is_fine"), [(700, True), (699, False), (1359, True), (1360, False)]
)
def test_a_token_is_good_around_its_time_only(now_s: int, is_fine: bool) -> None:
    claims = tokens.read_token(_token()).claims
    if is_fine:
        tokens.check_times(claims, now_s, 300)
    else:
        with pytest.raises(encoding.Malformed):
            tokens.check_times(claims, now_s, 300)


def test_secrets_do_not_show_in_what_is_printed() -> None:
    seed = bytes(range(32))
    shown = repr(tokens.BotSession(BOT, TRACE, seed)) + repr(tokens.Grant(BOT, TRACE, "A", seed))
    assert repr(seed) not in shown
    assert seed.hex() not in shown


def test_the_page_of_consent_asks_for_the_scopes_with_our_challenge() -> None:
    verifier = login.verifier(bytes(32))
    url = login.authorize_url(BOT, ["PROFILE:READ", "ASSETS:READ"], "s", login.challenge(verifier))
    assert "scope=PROFILE%3AREAD%20ASSETS%3AREAD" in url
    assert f"code_challenge={login.challenge(verifier)}" in url


def test_a_pin_envelope_opens_with_its_key_only() -> None:
    key, nonce = bytes(range(32)), bytes(16)
    envelope = tip.PinEnvelope(b"\xab" * 64, 1_767_225_600, 17)
    text = tip.seal_pin(envelope, key, nonce)
    assert tip.open_pin(text, key) == envelope
    with pytest.raises(encoding.Malformed):
        tip.open_pin(text[:-4], key)
    assert _opened(text, bytes(32)) != envelope


def _opened(text: str, key: bytes) -> tip.PinEnvelope | None:
    try:
        return tip.open_pin(text, key)
    except encoding.Malformed:
        return None


PAYMENT = links.PaymentLink(
    recipient=BOT, asset_id=USDT, units=1_250_000_000, trace=TRACE, memo="做市 & more +1",
    return_to="https://example.com/a?b=c",
)  # fmt: skip


def test_a_payment_link_survives_with_everything_escaped() -> None:
    assert links.parse_payment_link(links.payment_link(PAYMENT)) == PAYMENT


@pytest.mark.parametrize(
    "change",
    [
        ("amount=12.5", "amount=12.500000001"),
        ("amount=12.5", "amount=0"),
        ("amount=12.5", "amount=12.5&amount=1"),
        ("amount=12.5", "amout=12.5"),
        ("https://mixin.one", "https://mixin.example"),
        (TRACE, TRACE.upper()),
    ],
)
def test_a_payment_link_that_we_do_not_wholly_understand_is_refused(
    change: tuple[str, str],
) -> None:
    with pytest.raises(encoding.Malformed):
        links.parse_payment_link(links.payment_link(PAYMENT).replace(*change))


def test_a_memo_of_more_than_256_bytes_is_refused() -> None:
    with pytest.raises(encoding.Malformed):
        replace(PAYMENT, memo="做" * 86)
    with pytest.raises(encoding.Malformed):
        memos.memo_bytes("x" * 257)


def test_an_invoice_is_understood_to_the_last_byte() -> None:
    recipient = addresses.MixAddress(1, uuids=(BOT,))
    first = invoices.InvoiceEntry(trace=TRACE, asset_id=USDT, units=5, extra=b"a")
    second = invoices.InvoiceEntry(
        trace=BOT, asset_id=USDT, units=7, index_references=(0,), hash_references=(bytes(32),)
    )
    invoice = invoices.Invoice(recipient, (first, second))
    assert invoices.parse_invoice(str(invoice)) == invoice
    sealed = addresses.seal("MIN", invoice.payload() + b"\0")
    with pytest.raises(encoding.Malformed):
        invoices.parse_invoice("MIN" + encoding.to_base64url(sealed))
    with pytest.raises(encoding.Malformed):
        str(invoices.Invoice(recipient, (second,)))


@given(st.binary(min_size=16, max_size=16), st.sampled_from(list(memos.DepositAction)))
def test_a_deposit_memo_names_its_intent(intent_id: bytes, action: memos.DepositAction) -> None:
    memo = memos.DepositMemo(action, intent_id)
    assert memos.parse_deposit_memo(str(memo)) == memo
    assert memos.read_deposit_memo(str(memo).encode().hex()) == memo


def test_a_strangers_memo_is_nobodys() -> None:
    good = str(memos.DepositMemo(memos.DepositAction.LEG, bytes(range(16))))
    for text in ("", "hello", good[:-1], good + "1", "1" + good, good.swapcase()):
        assert memos.read_deposit_memo(text.encode().hex()) is None
    for extra in ("zz", "ff", "f"):
        assert memos.read_deposit_memo(extra) is None


@pytest.mark.parametrize("body", [b"\x02\x01", b"\x01\x03", b"\x01\x00"])
def test_a_deposit_memo_of_another_version_or_action_is_refused(body: bytes) -> None:
    data = body + bytes(16)
    text = encoding.to_base58(data + memos.checksum(data))
    with pytest.raises(encoding.Malformed):
        memos.parse_deposit_memo(text)


def test_a_frame_that_unpacks_to_too_much_or_goes_on_is_refused() -> None:
    bomb = gzip.compress(json.dumps({"id": "0" * messages.FRAME_BYTES_MAX}).encode())
    good = messages.encode_frame({"id": "1"})
    for frame in (bomb, good[:-1], good + b"x", b"{}", gzip.compress(b"[1]"), b""):
        with pytest.raises(encoding.Malformed):
            messages.decode_frame(frame)


def test_a_message_survives_and_a_receipt_is_not_one() -> None:
    made = messages.OutgoingMessage(
        message_id=TRACE, sender_id=BOT, recipient_id=USDT, category=messages.Category.TEXT,
        data=messages.text_data("做市 ✓"),
    )  # fmt: skip
    body = made.body()
    assert body["conversation_id"] == ids.conversation_id(USDT, BOT)
    sent = {**body, "user_id": BOT, "source": "", "status": "SENT"}
    assert messages.read_message(sent).text() == "做市 ✓"
    with pytest.raises(encoding.Malformed):
        messages.read_message({"message_id": TRACE, "status": "READ"})


@dataclass(frozen=True)
class _Held:
    units: int
    is_unspent: bool = True


def test_outputs_are_chosen_in_order_and_only_unspent_ones() -> None:
    held = [_Held(5, is_unspent=False), _Held(3), _Held(4), _Held(9)]
    found = selection.select_outputs(held, 6)
    assert (found.picked, found.change_units) == ((held[1], held[2]), 1)


def test_the_largest_are_chosen_where_the_first_are_too_many() -> None:
    held = [_Held(1)] * 300 + [_Held(100)]
    found = selection.select_outputs(held, 300)
    assert len(found.picked) == 201
    assert found.change_units == 0


def test_outputs_that_are_too_small_or_too_few_are_two_different_answers() -> None:
    with pytest.raises(selection.TooManyOutputs):
        selection.select_outputs([_Held(1)] * 257, 257)
    with pytest.raises(selection.InsufficientOutputs):
        selection.select_outputs([_Held(1)] * 3, 4)
