-- What outside attempts taught about payments.
-- Schema-qualify every name. Tables made here belong to poolmaker_owner; see 0001 for who may do what by default.
-- Amounts are atomic units of the asset register unless a column says otherwise. All times are microseconds
-- since the Unix epoch and come as parameters.

-- Whose turn it is on a way between our own places is one look at this index.
CREATE INDEX transfer_waiting ON business.transfer (source, target, asset, transfer_id)
    WHERE state NOT IN ('done', 'returned', 'declined');

-- The newest arrival that people stated at a place: the next one is judged when the books know it.
CREATE TABLE business.stated (
    location text NOT NULL,
    asset text NOT NULL,
    key text NOT NULL,
    PRIMARY KEY (location, asset)
);

-- -------------------------------------------------------------------------------- custody incidents

-- What a place and the books disagree about, until evidence closes it. Rows are kept as the record.
CREATE TABLE business.custody_incident (
    kind text NOT NULL CHECK (kind IN ('shortfall', 'surplus', 'silence', 'unconfigured')),
    -- A custody account, or the beginning of all accounts of one place.
    location text NOT NULL,
    -- Empty where the whole place is meant.
    asset text NOT NULL,
    opened_us bigint NOT NULL,
    units numeric(38, 0) NOT NULL CHECK (units >= 0),
    booked_units numeric(38, 0) NOT NULL,
    reported_units numeric(38, 0) NOT NULL,
    seen_us bigint NOT NULL,
    owner text NOT NULL,
    covered_units numeric(38, 0) NOT NULL CHECK (covered_units >= 0),
    closed_us bigint NOT NULL,
    evidence text NOT NULL,
    PRIMARY KEY (kind, location, asset, opened_us)
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX custody_incident_open ON business.custody_incident (kind, location, asset)
    WHERE closed_us = 0;
CREATE INDEX custody_incident_newest ON business.custody_incident (opened_us DESC);
REVOKE DELETE ON business.custody_incident FROM poolmaker_app;

-- ------------------------------------------------------------------------- assets without a form

-- What strangers pay of assets that are not configured: a row per asset and sender, however often they pay.
-- units and returning_units are the network's, of what is still here.
CREATE TABLE mixin.unlisted (
    asset_id text NOT NULL,
    sender text NOT NULL,
    payments bigint NOT NULL,
    units numeric(38, 0) NOT NULL CHECK (units >= 0),
    first_us bigint NOT NULL,
    last_us bigint NOT NULL,
    returns integer NOT NULL DEFAULT 0,
    returning_units numeric(38, 0) NOT NULL DEFAULT 0 CHECK (returning_units >= 0),
    returned_us bigint NOT NULL DEFAULT 0,
    return_to text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    PRIMARY KEY (asset_id, sender)
) WITH (fillfactor = 70);
REVOKE DELETE ON mixin.unlisted FROM poolmaker_app;

-- What an earlier version has kept one by one.
INSERT INTO mixin.unlisted (asset_id, sender, payments, units, first_us, last_us)
SELECT asset_id, sender, count(*), sum(units), min(created_us), max(created_us)
FROM (
    SELECT o.asset_id, o.units, o.created_us,
        CASE WHEN cardinality(o.senders) = 1 THEN o.senders[1] ELSE '' END AS sender
    FROM mixin.output o
    WHERE o.disposition = 'unknown_asset' AND o.state = 'unspent'
) AS kept
GROUP BY asset_id, sender;
-- One incident per payment was a list that strangers could fill.
DELETE FROM mixin.incident WHERE kind IN ('unknown_asset', 'dust');

-- Money of the operator's own wallets at Mixin.
ALTER TABLE mixin.output DROP CONSTRAINT output_disposition_check;
ALTER TABLE mixin.output ADD CONSTRAINT output_disposition_check CHECK (
    disposition IN (
        'own', 'inscription', 'unknown_asset', 'unexplained', 'waiting', 'dust',
        'deposit', 'transfer', 'refund', 'suspense', 'operator'
    )
);
ALTER TABLE business.arrival DROP CONSTRAINT arrival_disposition_check;
ALTER TABLE business.arrival ADD CONSTRAINT arrival_disposition_check CHECK (
    disposition IN ('deposit', 'transfer', 'refund', 'suspense', 'operator')
);

-- ------------------------------------------------------------------------------ when arrivals were seen

-- Up to when everything that had come to the places under a name was read.
CREATE TABLE business.arrival_look (
    place text PRIMARY KEY,
    looked_us bigint NOT NULL
) WITH (fillfactor = 50);
-- Times in which nobody looked: they are not the user's who was to pay.
CREATE TABLE business.arrival_gap (
    place text NOT NULL,
    from_us bigint NOT NULL,
    to_us bigint NOT NULL,
    PRIMARY KEY (place, from_us)
);
