"""Transactions: the network's bytes, and what is never signed or taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from poolmaker.mixin.codec import transactions as tx
from poolmaker.mixin.codec.encoding import Malformed
from poolmaker.mixin.codec.ids import blake3
from poolmaker.mixin.codec.keys import (
    GhostKeys,
    ghost_keys,
    pair_from_seed,
    seed_public_key,
    seed_scalar,
    view_scalar,
)

SEED = bytes(range(32))
OWNER = pair_from_seed(b"\x05" * 64)


def ghost(index: int, tag: int = 0) -> GhostKeys:
    return ghost_keys(seed_scalar(bytes([tag] * 32)), [OWNER.public()], index)


def made() -> tx.Transaction:
    return tx.Transaction(
        asset=blake3(b"asset"),
        inputs=(tx.Input(blake3(b"one"), 0), tx.Input(blake3(b"two"), 1_024)),
        outputs=(tx.withdraw_to(7, "0xabc", "tag"), tx.pay_to(2**70, ghost(1), 1)),
        references=(blake3(b"other"),),
        extra=b"memo",
    )


def signed() -> tx.Transaction:
    return replace(made(), signatures=({0: bytes(64)}, {0: b"\x01" * 64, 2: b"\x02" * 64}))


def test_a_transaction_is_read_as_it_was_written() -> None:
    raw = tx.encode(signed())
    assert tx.decode(raw) == signed()
    assert tx.encode(tx.decode(raw)) == raw
    assert tx.transaction_hash(signed()) == tx.transaction_hash(made())
    tx.check_rules(signed())


def test_every_cut_and_every_byte_too_many_is_refused() -> None:
    raw = tx.encode(signed())
    for size in range(len(raw)):
        with pytest.raises(Malformed):
            tx.decode(raw[:size])
    with pytest.raises(Malformed):
        tx.decode(raw + b"\0")


def test_what_is_read_is_the_only_way_to_write_it() -> None:
    raw = bytearray(tx.encode(signed()))
    for at in range(len(raw)):
        for flip in (1, 0x80):
            raw[at] ^= flip
            try:
                found = tx.decode(bytes(raw))
            except Malformed:
                pass
            else:
                assert tx.encode(found) == bytes(raw)
            raw[at] ^= flip


BAD: dict[str, Callable[[tx.Transaction], tx.Transaction]] = {
    "no input": lambda t: replace(t, inputs=()),
    "257 inputs": lambda t: replace(
        t, inputs=tuple(tx.Input(blake3(bytes([n % 256, n // 256])), 0) for n in range(257))
    ),
    "257 outputs": lambda t: replace(t, outputs=t.outputs[1:] * 257),
    "one output spent twice": lambda t: replace(t, inputs=t.inputs[:1] * 2),
    "17 references": lambda t: replace(t, references=(blake3(b"x"),) * 17),
    "input index 1025": lambda t: replace(t, inputs=(tx.Input(blake3(b"one"), 1_025),)),
    "a long memo": lambda t: replace(t, extra=bytes(257)),
    "a withdrawal in the second place": lambda t: replace(t, outputs=t.outputs[::-1]),
    "two withdrawals": lambda t: replace(t, outputs=t.outputs[:1] * 2),
    "a withdrawal to nowhere": lambda t: replace(t, outputs=(tx.withdraw_to(1, ""),)),
    "a withdrawal with keys": lambda t: replace(
        t, outputs=(replace(t.outputs[0], keys=ghost(0).keys),)
    ),
    "nothing paid": lambda t: replace(t, outputs=(tx.pay_to(0, ghost(0), 1),)),
    "no key": lambda t: replace(t, outputs=(tx.pay_to(1, GhostKeys(ghost(0).mask, ()), 1),)),
    "a key twice": lambda t: replace(t, outputs=(t.outputs[1], t.outputs[1])),
    "a key that is no point": lambda t: replace(
        t, outputs=(tx.pay_to(1, GhostKeys(ghost(0).mask, (bytes(32),)), 1),)
    ),
    "a mask that is no point": lambda t: replace(
        t, outputs=(tx.pay_to(1, GhostKeys(bytes(32), ghost(0).keys), 1),)
    ),
    "a threshold of 65": lambda t: replace(
        t, outputs=(replace(t.outputs[1], script=b"\xff\xfe\x41"),)
    ),
    "a kernel's own output": lambda t: replace(t, outputs=(replace(t.outputs[1], type=0xA3),)),
}


@pytest.mark.parametrize("name", BAD)
def test_what_the_kernel_would_refuse_is_refused(name: str) -> None:
    with pytest.raises(Malformed):
        tx.check_rules(BAD[name](made()))


def unlock(count: int) -> tuple[tx.Transaction, list[bytes], list[list[bytes]]]:
    """A transaction that spends ``count`` outputs of SEED's owner, its views and the keys."""
    owner = replace(OWNER.public(), spend=seed_public_key(SEED))
    locks = [ghost_keys(seed_scalar(bytes([9, *bytes(31)])), [owner], n) for n in range(count)]
    views = [view_scalar(lock.mask, OWNER.view, n) for n, lock in enumerate(locks)]
    inputs = tuple(tx.Input(blake3(b"in"), n) for n in range(count))
    return replace(made(), inputs=inputs), views, [list(lock.keys) for lock in locks]


def test_the_owner_of_a_seed_unlocks_what_was_sent_to_him() -> None:
    plain, views, input_keys = unlock(3)
    done = tx.sign(plain, views, seed_scalar(SEED), input_keys=input_keys)
    locks = [(found, 1) for found in input_keys]
    assert tx.are_signatures_valid(done, locks)
    assert not tx.are_signatures_valid(done, locks[::-1])
    assert not tx.are_signatures_valid(done, [(found, 2) for found in input_keys])
    assert not tx.are_signatures_valid(replace(done, extra=b"other"), locks)
    assert not tx.are_signatures_valid(replace(done, signatures=done.signatures[:2]), locks)
    moved = tuple({1: one[0]} for one in done.signatures)
    assert not tx.are_signatures_valid(replace(done, signatures=moved), locks)


def test_nothing_is_signed_with_a_key_that_its_output_does_not_name() -> None:
    """Mixin invariant 3."""
    plain, views, input_keys = unlock(2)
    with pytest.raises(Malformed):
        tx.sign(plain, views[::-1], seed_scalar(SEED), input_keys=input_keys)
    with pytest.raises(Malformed):
        tx.sign(plain, views[:1], seed_scalar(SEED), input_keys=input_keys)
