-- Tables of the Mixin client: outputs, payments, what arrived.
-- Schema-qualify every name. Tables made here belong to poolmaker_owner; see 0001 for who may do what by default.
-- Amounts are units of the network, 1e-8, unless a column says otherwise. All times are microseconds since the Unix epoch and come as parameters.

CREATE SCHEMA mixin;

GRANT USAGE ON SCHEMA mixin TO poolmaker_writer, poolmaker_app, poolmaker_reader;

ALTER DEFAULT PRIVILEGES IN SCHEMA mixin GRANT INSERT, UPDATE, DELETE ON TABLES TO poolmaker_app;

-- Up to where a bot's outputs were walked. The sequence itself may still hold more: it is asked for again.
CREATE TABLE mixin.cursor (
    app_id text PRIMARY KEY,
    sequence bigint NOT NULL CHECK (sequence >= 0)
) WITH (fillfactor = 50);

-- Whoever locks the row chooses outputs; nobody else does at the same time.
CREATE TABLE mixin.selector (
    app_id text PRIMARY KEY
);

-- Every output that the bot ever received. taken_by is the hash of the transaction it is reserved for or was spent by.
CREATE TABLE mixin.output (
    output_id text PRIMARY KEY,
    transaction_hash text NOT NULL,
    output_index integer NOT NULL,
    sequence bigint NOT NULL,
    asset_id text NOT NULL,
    units numeric(38, 0) NOT NULL CHECK (units > 0),
    keys bytea[] NOT NULL,
    senders text[] NOT NULL,
    request_id text NOT NULL,
    extra bytea NOT NULL,
    created_us bigint NOT NULL,
    form text NOT NULL,
    disposition text NOT NULL CHECK (
        disposition IN (
            'own', 'inscription', 'unknown_asset', 'unexplained', 'waiting', 'dust',
            'deposit', 'transfer', 'refund', 'suspense'
        )
    ),
    -- What the register of assets cannot hold of it; it stays at the place and is nobody's.
    dust_units numeric(38, 0) NOT NULL CHECK (dust_units >= 0),
    opponent text NOT NULL,
    deposit_hash text NOT NULL,
    ask_us bigint NOT NULL,
    asks integer NOT NULL,
    state text NOT NULL CHECK (state IN ('unspent', 'reserved', 'spent')),
    taken_by text NOT NULL,
    UNIQUE (transaction_hash, output_index),
    CHECK ((state = 'unspent') = (taken_by = ''))
) WITH (fillfactor = 70);
CREATE INDEX output_spendable ON mixin.output (asset_id, sequence) WHERE state = 'unspent';
CREATE INDEX output_taken ON mixin.output (taken_by) WHERE state = 'reserved';
CREATE INDEX output_open ON mixin.output (ask_us)
    WHERE disposition IN ('unknown_asset', 'unexplained', 'waiting');
-- An output that was received stays known.
REVOKE DELETE ON mixin.output FROM poolmaker_app;

-- What was asked to be paid. units, fee_units and other_fee_units are those of the register of assets.
CREATE TABLE mixin.payment (
    request_id text PRIMARY KEY,
    reference text NOT NULL UNIQUE,
    form text NOT NULL,
    asset text NOT NULL,
    units numeric(38, 0) NOT NULL CHECK (units > 0),
    network text NOT NULL,
    address text NOT NULL,
    tag text NOT NULL,
    created_us bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'completed', 'refused')),
    attempt integer NOT NULL CHECK (attempt >= 0),
    transaction_id text NOT NULL,
    fee_units numeric(38, 0) NOT NULL CHECK (fee_units >= 0),
    other_fee_asset text NOT NULL,
    other_fee_units numeric(38, 0) NOT NULL CHECK (other_fee_units >= 0),
    reason text NOT NULL
) WITH (fillfactor = 70);
REVOKE DELETE ON mixin.payment FROM poolmaker_app;

-- The journal: a row is durable before its bytes leave this machine. unsigned is bound at Mixin, signed is sent,
-- and sent again, never another for the same request. received_units and fee_units are what its first outputs pay.
CREATE TABLE mixin.transaction (
    request_id text PRIMARY KEY,
    payment text NOT NULL REFERENCES mixin.payment,
    attempt integer NOT NULL,
    role text NOT NULL CHECK (role IN ('main', 'fee', 'join', 'void')),
    asset_id text NOT NULL,
    hash text NOT NULL UNIQUE,
    unsigned bytea NOT NULL,
    signed bytea,
    received_units numeric(38, 0) NOT NULL,
    fee_units numeric(38, 0) NOT NULL,
    change_index integer,
    change_units numeric(38, 0) NOT NULL,
    state text NOT NULL CHECK (state IN ('built', 'signed', 'taken', 'spent', 'dead')),
    reason text NOT NULL,
    journalled_us bigint NOT NULL,
    -- What was never signed was never sent.
    CHECK (signed IS NOT NULL OR state IN ('built', 'dead'))
) WITH (fillfactor = 70);
CREATE INDEX transaction_payment ON mixin.transaction (payment) WHERE state <> 'dead';
REVOKE DELETE ON mixin.transaction FROM poolmaker_app;

-- What a person should look at. The same trouble of the same subject is one row.
CREATE TABLE mixin.incident (
    kind text NOT NULL,
    subject text NOT NULL,
    note text NOT NULL,
    at_us bigint NOT NULL,
    PRIMARY KEY (kind, subject)
);
REVOKE UPDATE, DELETE ON mixin.incident FROM poolmaker_app;
