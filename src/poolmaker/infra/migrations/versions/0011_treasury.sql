-- Funding, transfers between places, deposit intents and refunds.
-- Schema-qualify every name. Tables made here belong to poolmaker_owner; see 0001 for who may do what by default.
-- Amounts are atomic units of the asset register. All times are microseconds since the Unix epoch and come as parameters.

-- ------------------------------------------------------------------------------------ withdrawals

-- A payout leaves any custody account, not only a venue's.
ALTER TABLE business.withdrawal RENAME COLUMN account TO source;
ALTER TABLE business.payout_lane RENAME COLUMN account TO source;
-- The suspense that a refund gives back; empty for a user's own money.
ALTER TABLE business.withdrawal ADD COLUMN suspense text NOT NULL DEFAULT '';
CREATE INDEX withdrawal_waiting ON business.withdrawal (source, asset)
    WHERE state = 'awaiting_cash';
UPDATE business.withdrawal SET source = 'custody:venue:' || source;
UPDATE business.payout_lane SET source = 'custody:venue:' || source;

-- -------------------------------------------------------------------------------------- transfers

CREATE TABLE business.transfer (
    transfer_id text PRIMARY KEY,
    key text NOT NULL UNIQUE,
    source text NOT NULL,
    target text NOT NULL,
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
            'planned', 'moved_out', 'sent', 'left', 'arrived', 'done',
            'refused', 'returned', 'declined'
        )
    ),
    provider_id text NOT NULL,
    transaction_id text NOT NULL,
    fee_units numeric(38, 0) NOT NULL CHECK (fee_units >= 0),
    arrived_units numeric(38, 0) NOT NULL CHECK (arrived_units >= 0),
    arrival text NOT NULL,
    reason text NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX transfer_open ON business.transfer (transfer_id)
    WHERE state NOT IN ('done', 'returned', 'declined');
-- One transfer in flight per route and asset.
CREATE UNIQUE INDEX transfer_lane ON business.transfer (source, target, asset)
    WHERE state IN ('moved_out', 'sent', 'left', 'arrived', 'refused');

-- The story of each transfer; only ever added to.
CREATE TABLE business.transfer_line (
    transfer_id text NOT NULL REFERENCES business.transfer,
    line integer NOT NULL,
    at_us bigint NOT NULL,
    state text NOT NULL,
    event text NOT NULL,
    key text NOT NULL,
    note text NOT NULL,
    PRIMARY KEY (transfer_id, line)
);
REVOKE UPDATE, DELETE ON business.transfer_line FROM poolmaker_app;

-- --------------------------------------------------------------------------- arrivals and suspense

-- What a place has told of money that came, judged once and never again.
CREATE TABLE business.arrival (
    location text NOT NULL,
    reference text NOT NULL,
    asset text NOT NULL,
    units numeric(38, 0) NOT NULL CHECK (units > 0),
    sender text NOT NULL,
    body_hash bytea NOT NULL CHECK (octet_length(body_hash) = 32),
    disposition text NOT NULL CHECK (
        disposition IN ('deposit', 'transfer', 'refund', 'suspense')
    ),
    subject text NOT NULL,
    at_us bigint NOT NULL,
    PRIMARY KEY (location, reference)
);
CREATE INDEX arrival_newest ON business.arrival (at_us DESC);
REVOKE UPDATE, DELETE ON business.arrival FROM poolmaker_app;

CREATE TABLE business.suspense (
    source text PRIMARY KEY,
    location text NOT NULL,
    reference text NOT NULL,
    asset text NOT NULL,
    units numeric(38, 0) NOT NULL CHECK (units > 0),
    sender text NOT NULL,
    transaction_id text NOT NULL,
    at_us bigint NOT NULL,
    state text NOT NULL CHECK (state IN ('open', 'refunding', 'refunded', 'resolved')),
    reason text NOT NULL
);
CREATE INDEX suspense_open ON business.suspense (source) WHERE state IN ('open', 'refunding');

CREATE TABLE business.treasury_incident (
    incident bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL CHECK (
        kind IN ('arrival_conflict', 'refund_refused', 'transfer_differs')
    ),
    subject text NOT NULL,
    note text NOT NULL,
    at_us bigint NOT NULL,
    UNIQUE (kind, subject, note)
);
REVOKE UPDATE, DELETE ON business.treasury_incident FROM poolmaker_app;

-- ---------------------------------------------------------------------------------------- funding

-- What orders need at their venue account, in the order of arrival.
CREATE TABLE business.funding (
    saga text NOT NULL,
    asset text NOT NULL,
    place bigint GENERATED ALWAYS AS IDENTITY,
    order_id text NOT NULL,
    account text NOT NULL,
    units numeric(38, 0) NOT NULL CHECK (units > 0),
    state text NOT NULL CHECK (state IN ('wanted', 'funded', 'used', 'gone')),
    PRIMARY KEY (saga, asset)
) WITH (fillfactor = 70);
CREATE INDEX funding_open ON business.funding (place) WHERE state IN ('wanted', 'funded');

-- --------------------------------------------------------------------------------------- deposits

-- Who a user is at Mixin.
ALTER TABLE business.app_user ADD COLUMN mixin_id text UNIQUE CHECK (mixin_id <> '');
ALTER TABLE business.user_order ADD COLUMN by_mixin boolean NOT NULL DEFAULT false;

-- What an order waits for of one asset; trace is the payment link's.
CREATE TABLE business.deposit_leg (
    trace text PRIMARY KEY,
    intent text NOT NULL,
    order_id text NOT NULL REFERENCES business.user_order,
    asset text NOT NULL,
    units numeric(38, 0) NOT NULL CHECK (units > 0),
    paid_units numeric(38, 0) NOT NULL CHECK (paid_units >= 0),
    key text NOT NULL,
    UNIQUE (intent, asset)
);
CREATE INDEX deposit_leg_order ON business.deposit_leg (order_id);
