-- Tables of the business rooms outside the ledger. Filled by the rooms of business.
-- Schema-qualify every name. Tables made here belong to poolmaker_owner; see 0001 for who may do what by default.
-- Amounts are atomic units. All times are microseconds since the Unix epoch and come as parameters.

-- ------------------------------------------------------------------------------------------ pools

-- A pool with its position as of the ledger transactions that were applied. paused: the operator's
-- reason, empty while it is open.
CREATE TABLE business.pool (
    pool text PRIMARY KEY,
    account text NOT NULL,
    symbol text NOT NULL,
    market jsonb NOT NULL,
    strategy jsonb NOT NULL,
    parameters jsonb NOT NULL,
    paused text NOT NULL,
    base_units numeric(38, 0) NOT NULL,
    quote_units numeric(38, 0) NOT NULL,
    issued numeric(38, 0) NOT NULL,
    exit_base_units numeric(38, 0) NOT NULL,
    exit_quote_units numeric(38, 0) NOT NULL,
    capital_version bigint NOT NULL,
    quoting boolean NOT NULL,
    quoting_version bigint NOT NULL,
    drain_version bigint NOT NULL,
    reduced_version bigint NOT NULL,
    lifted_version bigint NOT NULL,
    -- One executor quotes with all the capital of an account in a market.
    UNIQUE (account, symbol)
) WITH (fillfactor = 50);

CREATE TABLE business.venue_account (
    account text PRIMARY KEY,
    booked_seq bigint NOT NULL DEFAULT 0,
    rounds bigint NOT NULL DEFAULT 0,
    round_at_us bigint NOT NULL DEFAULT 0,
    barriers bigint NOT NULL DEFAULT 0,
    barrier_at_us bigint NOT NULL DEFAULT 0,
    open_barrier text NOT NULL DEFAULT '',
    asks bigint NOT NULL DEFAULT 0,
    asked_at_us bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- Who waits for a barrier, in the order of arrival.
CREATE TABLE business.ticket (
    ticket text PRIMARY KEY,
    place bigint GENERATED ALWAYS AS IDENTITY,
    saga text NOT NULL,
    pool text NOT NULL REFERENCES business.pool,
    account text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('join', 'leave', 'evidence')),
    shares numeric(38, 0) NOT NULL CHECK (shares >= 0),
    state text NOT NULL CHECK (
        state IN ('waiting', 'draining', 'ready', 'asked', 'met', 'used', 'gone')
    ),
    drain_version bigint NOT NULL,
    barrier_id text NOT NULL,
    ledger_seq bigint NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX ticket_open ON business.ticket (account, place) WHERE state <> 'gone';

CREATE TABLE business.barrier (
    account text NOT NULL,
    barrier_id text NOT NULL,
    seq bigint NOT NULL CHECK (seq > 0),
    body jsonb NOT NULL,
    PRIMARY KEY (account, barrier_id)
);
REVOKE UPDATE, DELETE ON business.barrier FROM poolmaker_app;

-- ------------------------------------------------------------------------------------ user orders

CREATE TABLE business.app_user (
    user_id text PRIMARY KEY,
    name text NOT NULL,
    created_us bigint NOT NULL
);

-- Requests that were accepted, by their caller's key.
CREATE TABLE business.request (
    key text PRIMARY KEY,
    body_hash bytea NOT NULL,
    subject text NOT NULL,
    at_us bigint NOT NULL
);
REVOKE UPDATE, DELETE ON business.request FROM poolmaker_app;

CREATE TABLE business.user_order (
    order_id text PRIMARY KEY,
    user_id text NOT NULL REFERENCES business.app_user,
    pool text NOT NULL REFERENCES business.pool,
    account text NOT NULL,
    base_asset text NOT NULL,
    base_units numeric(38, 0) NOT NULL CHECK (base_units >= 0),
    quote_asset text NOT NULL,
    quote_units numeric(38, 0) NOT NULL CHECK (quote_units >= 0),
    created_us bigint NOT NULL,
    state text NOT NULL CHECK (
        state IN (
            'created', 'locked', 'funding', 'in_mm', 'pause', 'withdraw',
            'closed', 'expired', 'refunded'
        )
    ),
    wish text NOT NULL CHECK (wish IN ('none', 'pause', 'withdraw')),
    child text NOT NULL,
    children integer NOT NULL,
    share_asset text NOT NULL,
    shares numeric(38, 0) NOT NULL CHECK (shares >= 0),
    joined_at_us bigint NOT NULL,
    destinations jsonb NOT NULL,
    reason text NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX user_order_user ON business.user_order (user_id, order_id);

-- The story of each order; only ever added to.
CREATE TABLE business.user_order_line (
    order_id text NOT NULL REFERENCES business.user_order,
    line integer NOT NULL,
    at_us bigint NOT NULL,
    state text NOT NULL,
    event text NOT NULL,
    key text NOT NULL,
    note text NOT NULL,
    PRIMARY KEY (order_id, line)
);
REVOKE UPDATE, DELETE ON business.user_order_line FROM poolmaker_app;

-- ------------------------------------------------------------------------------------ withdrawals

CREATE TABLE business.withdrawal (
    withdrawal_id text PRIMARY KEY,
    key text NOT NULL UNIQUE,
    user_id text NOT NULL,
    account text NOT NULL,
    asset text NOT NULL,
    units numeric(38, 0) NOT NULL CHECK (units > 0),
    network text NOT NULL,
    address text NOT NULL,
    tag text NOT NULL,
    reference text NOT NULL UNIQUE,
    requested_us bigint NOT NULL,
    correlation text NOT NULL,
    parent text NOT NULL,
    state text NOT NULL CHECK (
        state IN (
            'requested', 'awaiting_cash', 'held', 'sent', 'confirmed', 'debited',
            'done', 'refused', 'released', 'declined'
        )
    ),
    held_seq bigint NOT NULL,
    provider_id text NOT NULL,
    transaction_id text NOT NULL,
    fee_units numeric(38, 0) NOT NULL CHECK (fee_units >= 0),
    reason text NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX withdrawal_user ON business.withdrawal (user_id, withdrawal_id);
CREATE INDEX withdrawal_claims ON business.withdrawal (account, asset, held_seq)
    WHERE state IN ('held', 'sent', 'confirmed');

-- The story of each withdrawal; only ever added to.
CREATE TABLE business.withdrawal_line (
    withdrawal_id text NOT NULL REFERENCES business.withdrawal,
    line integer NOT NULL,
    at_us bigint NOT NULL,
    state text NOT NULL,
    event text NOT NULL,
    key text NOT NULL,
    note text NOT NULL,
    PRIMARY KEY (withdrawal_id, line)
);
REVOKE UPDATE, DELETE ON business.withdrawal_line FROM poolmaker_app;

-- At most one payout in flight to a receiver, because a venue has no idempotency key.
CREATE TABLE business.payout_lane (
    account text NOT NULL,
    asset text NOT NULL,
    address text NOT NULL,
    withdrawal_id text NOT NULL UNIQUE REFERENCES business.withdrawal,
    PRIMARY KEY (account, asset, address)
);

-- One row while outgoing money is stopped.
CREATE TABLE business.payout_freeze (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    reason text NOT NULL,
    by_whom text NOT NULL,
    at_us bigint NOT NULL
);
