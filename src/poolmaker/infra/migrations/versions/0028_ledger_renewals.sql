-- A lease is renewed under a name that no earlier platform calls.
-- Schema-qualify every name.

-- 0021 gave renew_lease another meaning under the same signature: a platform of before that still
-- ran handed it a time for a length, and its lease then held for half a century. It now fails at
-- its next renewal, and ends.
CREATE FUNCTION ledger.prolong_lease(p_ledger text, p_epoch bigint, p_lease_us bigint)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE ledger.head AS h
        SET prev_seq = h.last_seq, lease_until_us = infra.lease_now_us() + p_lease_us
        WHERE h.ledger_id = p_ledger AND h.epoch = p_epoch;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'fenced: epoch % is stale', p_epoch USING ERRCODE = 'LE001';
    END IF;
END $$;
DROP FUNCTION ledger.renew_lease(text, bigint, bigint);

DROP TRIGGER only_inside ON ledger.head;
CREATE TRIGGER only_inside BEFORE INSERT OR UPDATE ON ledger.head FOR EACH STATEMENT
    EXECUTE FUNCTION ledger.refuse_bypass('append', 'take_lease', 'prolong_lease', 'register_asset');
ALTER TABLE ledger.head ENABLE ALWAYS TRIGGER only_inside;
