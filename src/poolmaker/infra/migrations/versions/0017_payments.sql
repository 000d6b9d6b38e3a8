-- What outside attempts taught about payments.
-- Schema-qualify every name. Tables made here belong to poolmaker_owner; see 0001 for who may do what by default.
-- Amounts are atomic units of the asset register unless a column says otherwise. All times are microseconds
-- since the Unix epoch and come as parameters.

-- Whose turn it is on a way between our own places is one look at this index.
CREATE INDEX transfer_waiting ON business.transfer (source, target, asset, transfer_id)
    WHERE state NOT IN ('done', 'returned', 'declined');
