-- market

-- Market data: what ticks and lots count. One row per set of rules that a venue was seen to have
-- for a market; orders and intents name the version that they were made under (decision 0105).
CREATE TABLE market.market_rules (
    account text NOT NULL,
    symbol text NOT NULL,
    version integer NOT NULL CHECK (version > 0),
    base text NOT NULL,
    base_scale integer NOT NULL,
    quote text NOT NULL,
    quote_scale integer NOT NULL,
    tick_units numeric(38, 0) NOT NULL CHECK (tick_units > 0),
    lot_units numeric(38, 0) NOT NULL CHECK (lot_units > 0),
    quantity_min_lots numeric(38, 0) NOT NULL,
    notional_min_units numeric(38, 0) NOT NULL,
    is_open boolean NOT NULL,
    maker_fee_ppm integer NOT NULL,
    taker_fee_ppm integer,
    seen_at_us bigint NOT NULL,
    PRIMARY KEY (account, symbol, version)
);

-- What has filled is atomic base units; the columns in lots are those of rows from before, which
-- an engine binds to rules when it first opens their market.
ALTER TABLE market.exchange_order
    ADD COLUMN rules_version integer,
    ADD COLUMN reported_units numeric(38, 0) CHECK (reported_units >= 0),
    ADD COLUMN booked_units numeric(38, 0) CHECK (booked_units >= 0),
    ALTER COLUMN reported_lots DROP NOT NULL,
    ALTER COLUMN booked_lots DROP NOT NULL,
    ADD CONSTRAINT exchange_order_units CHECK (
        (reported_units IS NULL) = (rules_version IS NULL)
        AND (booked_units IS NULL) = (rules_version IS NULL)
        AND (reported_lots IS NOT NULL OR rules_version IS NOT NULL));
DROP INDEX market.exchange_order_living;
CREATE INDEX exchange_order_living ON market.exchange_order (account)
    WHERE state NOT IN ('FILLED', 'CANCELLED', 'EXPIRED', 'REJECTED')
        OR reported_units > booked_units;
ALTER TABLE market.intent ADD COLUMN rules_version integer;
ALTER TABLE market.barrier_wanted ADD COLUMN body bytea NOT NULL DEFAULT '';
-- end of market data

-- Engine: what only a person lets go, and kill latches ------------------------------------------

-- Why the account is halted until a person releases it; empty when it is not.
ALTER TABLE market.engine ADD COLUMN halted text NOT NULL DEFAULT '';

-- Rows of a venue that nobody can read and that a person decided to leave out, for ever.
CREATE TABLE market.row_left_out (
    account text NOT NULL,
    row_key text NOT NULL,
    word text NOT NULL,
    decided_us bigint NOT NULL,
    PRIMARY KEY (account, row_key)
);

-- The kill switch: a latch holds while released_us is 0. The same latch is a file in the home.
CREATE TABLE market.kill_latch (
    id text PRIMARY KEY,
    scope text NOT NULL,
    set_by text NOT NULL,
    reason text NOT NULL,
    set_us bigint NOT NULL,
    asked_by text NOT NULL DEFAULT '',
    asked_us bigint NOT NULL DEFAULT 0,
    released_by text NOT NULL DEFAULT '',
    release_reason text NOT NULL DEFAULT '',
    released_us bigint NOT NULL DEFAULT 0
);
CREATE INDEX kill_latch_held ON market.kill_latch (scope) WHERE released_us = 0;
