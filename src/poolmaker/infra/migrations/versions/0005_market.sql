-- Tables of the market wing: intents, exchange orders, fills. Filled by the rooms of market.
-- Schema-qualify every name. Tables made here belong to poolmaker_owner; see 0001 for who may do what by default.
-- Times are wall microseconds since 1970; units are atomic units of the asset.

-- One row per venue account. Every write of an engine compares the epoch it started with, so that
-- an engine that was replaced can store nothing, and what is not stored is never sent.
CREATE TABLE market.engine (
    account text PRIMARY KEY,
    epoch bigint NOT NULL,
    facts_seq bigint NOT NULL DEFAULT 0,
    started_at_us bigint NOT NULL
);

-- What the business asked of a pool: the newest message of each kind, moved with the cursor.
CREATE TABLE market.pool (
    account text NOT NULL,
    pool text NOT NULL,
    start_body bytea NOT NULL DEFAULT '',
    quoting boolean NOT NULL DEFAULT false,
    stop_reason text NOT NULL DEFAULT '',
    capital_body bytea NOT NULL DEFAULT '',
    drain_body bytea NOT NULL DEFAULT '',
    drain_reported boolean NOT NULL DEFAULT false,
    PRIMARY KEY (account, pool)
);

CREATE TABLE market.barrier_wanted (
    account text NOT NULL,
    barrier_id text NOT NULL,
    asked_at_us bigint NOT NULL,
    done boolean NOT NULL DEFAULT false,
    PRIMARY KEY (account, barrier_id)
);
CREATE INDEX barrier_open ON market.barrier_wanted (account, asked_at_us) WHERE NOT done;

-- Decisions: a create is stored before it is sent, a cancel after.
CREATE TABLE market.intent (
    intent text PRIMARY KEY,
    account text NOT NULL,
    epoch bigint NOT NULL,
    pool text NOT NULL,
    symbol text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('CREATE_ORDER', 'CANCEL_ORDER')),
    target text NOT NULL DEFAULT '',
    side text NOT NULL DEFAULT '',
    level integer NOT NULL DEFAULT 0,
    ticks numeric(38, 0) NOT NULL DEFAULT 0,
    lots numeric(38, 0) NOT NULL DEFAULT 0,
    client_id text NOT NULL DEFAULT '',
    decided_at_us bigint NOT NULL
);
CREATE INDEX intent_time ON market.intent (account, decided_at_us);

-- The shadow ledger. Terminal states are left by nothing (see tracking/model.py).
CREATE TABLE market.exchange_order (
    intent text PRIMARY KEY,
    account text NOT NULL,
    pool text NOT NULL,
    symbol text NOT NULL,
    side text NOT NULL CHECK (side IN ('BUY', 'SELL')),
    level integer NOT NULL,
    ticks numeric(38, 0) NOT NULL CHECK (ticks > 0),
    lots numeric(38, 0) NOT NULL CHECK (lots > 0),
    state text NOT NULL,
    client_ids text[] NOT NULL,
    exchange_ids text[] NOT NULL,
    reported_lots numeric(38, 0) NOT NULL CHECK (reported_lots >= 0),
    booked_lots numeric(38, 0) NOT NULL CHECK (booked_lots >= 0),
    seen boolean NOT NULL,
    registered_us bigint NOT NULL,
    changed_us bigint NOT NULL,
    reason text NOT NULL
);
CREATE INDEX exchange_order_living ON market.exchange_order (account)
    WHERE state NOT IN ('FILLED', 'CANCELLED', 'EXPIRED', 'REJECTED') OR reported_lots > booked_lots;
CREATE INDEX exchange_order_ids ON market.exchange_order USING gin (exchange_ids);

-- Trades as they stand on the account stream. The key is the trade's own identity.
CREATE TABLE market.fill (
    account text NOT NULL,
    symbol text NOT NULL,
    exchange_order_id text NOT NULL,
    trade_id text NOT NULL,
    intent text NOT NULL,
    pool text NOT NULL,
    side text NOT NULL CHECK (side IN ('BUY', 'SELL')),
    base_units numeric(38, 0) NOT NULL CHECK (base_units >= 0),
    quote_units numeric(38, 0) NOT NULL CHECK (quote_units >= 0),
    fee_asset text NOT NULL,
    fee_units numeric(38, 0) NOT NULL,
    is_maker boolean NOT NULL,
    venue_time_us bigint NOT NULL,
    published_us bigint NOT NULL,
    fill_seq bigint NOT NULL,
    fee_seq bigint,
    fee_base_units numeric(38, 0) NOT NULL DEFAULT 0,
    fee_quote_units numeric(38, 0) NOT NULL DEFAULT 0,
    PRIMARY KEY (account, symbol, exchange_order_id, trade_id)
);
CREATE INDEX fill_seq ON market.fill (account, fill_seq);
CREATE INDEX fill_fee_open ON market.fill (account) WHERE fee_seq IS NULL AND fee_units <> 0;

-- Up to where the venue's list of trades was read over REST, in the venue's own words.
CREATE TABLE market.trade_cursor (
    account text NOT NULL,
    symbol text NOT NULL,
    cursor text NOT NULL,
    PRIMARY KEY (account, symbol)
);
