-- What outside attempts taught about payments.
-- Schema-qualify every name. Tables made here belong to poolmaker_owner; see 0001 for who may do what by default.
-- Amounts are atomic units of the asset register unless a column says otherwise. All times are microseconds
-- since the Unix epoch and come as parameters.

-- Whose turn it is on a way between our own places is one look at this index.
CREATE INDEX transfer_waiting ON business.transfer (source, target, asset, transfer_id)
    WHERE state NOT IN ('done', 'returned', 'declined');

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
