-- Tables of the chain client: transfers seen and transactions signed.
-- Schema-qualify every name. Tables made here belong to poolmaker_owner; see 0001 for who may do what by default.
-- Units are the token's own smallest ones; prices of gas are wei. Hashes and addresses are lower case with 0x.
-- All times are microseconds since the Unix epoch and come as parameters.

CREATE SCHEMA evm;

GRANT USAGE ON SCHEMA evm TO poolmaker_writer, poolmaker_app, poolmaker_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA evm GRANT INSERT, UPDATE, DELETE ON TABLES TO poolmaker_app;

-- Up to which final block the transfers to a wallet are read, and from which on.
CREATE TABLE evm.cursor (
    chain_id      bigint NOT NULL,
    wallet        text   NOT NULL,
    started_block bigint NOT NULL,
    block         bigint NOT NULL CHECK (block >= started_block),
    hash          text   NOT NULL,
    PRIMARY KEY (chain_id, wallet)
) WITH (fillfactor = 50);

-- Final transfers of registered tokens to a wallet of ours. A log is named by its place inside its
-- transaction: its number in the block changes when a block is made anew.
CREATE TABLE evm.transfer (
    chain_id  bigint  NOT NULL,
    tx_hash   text    NOT NULL,
    position  integer NOT NULL CHECK (position >= 0),
    contract  text    NOT NULL,
    sender    text    NOT NULL,
    recipient text    NOT NULL,
    units     numeric(78, 0) NOT NULL CHECK (units > 0),
    block     bigint  NOT NULL,
    at_us     bigint  NOT NULL,
    seen_us   bigint  NOT NULL,
    -- What became of it; empty while nobody has judged it.
    outcome   text    NOT NULL DEFAULT '',
    note      text    NOT NULL DEFAULT '',
    due_us    bigint  NOT NULL,
    tries     integer NOT NULL DEFAULT 0,
    PRIMARY KEY (chain_id, tx_hash, position)
);
CREATE INDEX transfer_due ON evm.transfer (chain_id, recipient, due_us) WHERE outcome = '';

-- Where a token may be sent. A row never changes: another address is another row, and a person's word.
CREATE TABLE evm.pin (
    chain_id   bigint NOT NULL,
    contract   text   NOT NULL,
    address    text   NOT NULL,
    pinned_us  bigint NOT NULL,
    by_whom    text   NOT NULL,
    retired_us bigint,
    PRIMARY KEY (chain_id, contract, address, pinned_us)
);
CREATE UNIQUE INDEX pin_valid ON evm.pin (chain_id, contract) WHERE retired_us IS NULL;

-- The next free nonce of a wallet; locked by whoever takes it.
CREATE TABLE evm.nonce (
    chain_id bigint NOT NULL,
    wallet   text   NOT NULL,
    next     bigint NOT NULL CHECK (next >= 0),
    PRIMARY KEY (chain_id, wallet)
) WITH (fillfactor = 50);

-- One row per payment, written with its first signed transaction before anything is broadcast.
CREATE TABLE evm.payment (
    reference text   PRIMARY KEY,
    chain_id  bigint NOT NULL,
    wallet    text   NOT NULL,
    nonce     bigint NOT NULL,
    contract  text   NOT NULL,
    recipient text   NOT NULL,
    units     numeric(78, 0) NOT NULL CHECK (units > 0),
    made_us   bigint NOT NULL,
    state     text   NOT NULL CHECK (state IN ('signed', 'completed', 'failed')),
    -- Of the attempt that a final block holds; empty before.
    tx_hash   text   NOT NULL DEFAULT '',
    block     bigint NOT NULL DEFAULT 0,
    taken     numeric(78, 0) NOT NULL DEFAULT 0,
    gas_wei   numeric(78, 0) NOT NULL DEFAULT 0,
    UNIQUE (chain_id, wallet, nonce),
    CHECK ((state = 'signed') = (tx_hash = ''))
);

-- Every transaction that was signed for a payment, all of the same nonce.
CREATE TABLE evm.attempt (
    reference   text    NOT NULL REFERENCES evm.payment,
    number      integer NOT NULL CHECK (number > 0),
    tx_hash     text    NOT NULL UNIQUE,
    raw         bytea   NOT NULL,
    max_fee_wei numeric(78, 0) NOT NULL,
    tip_wei     numeric(78, 0) NOT NULL,
    gas         bigint  NOT NULL,
    signed_us   bigint  NOT NULL,
    PRIMARY KEY (reference, number)
);
