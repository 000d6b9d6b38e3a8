-- A way between our own places that is refused again and again is an incident too.
ALTER TABLE business.treasury_incident DROP CONSTRAINT treasury_incident_kind_check;
ALTER TABLE business.treasury_incident ADD CONSTRAINT treasury_incident_kind_check CHECK (
    kind IN ('arrival_conflict', 'refund_refused', 'transfer_differs', 'transfer_refused')
);
