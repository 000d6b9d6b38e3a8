-- Long runs and take-over: leases by the database's own clock, and nobody takes back what was lost.
-- Schema-qualify every name.

-- One clock for all who compete for a lease. Nothing else is decided by it.
CREATE FUNCTION infra.lease_now_us() RETURNS bigint
LANGUAGE sql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
    SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint -- db-clock: a lease
$$;
GRANT EXECUTE ON FUNCTION infra.lease_now_us() TO poolmaker_writer;

DROP FUNCTION ledger.take_lease(text, text, bigint, bigint);
DROP FUNCTION ledger.renew_lease(text, bigint, bigint);

-- Whoever takes the lease owns a new epoch; the old owner's appends fail from then on. The lease is
-- free when it has run out, or when the caller saw it unchanged, exactly as named, for its length.
CREATE FUNCTION ledger.take_lease(
    p_ledger text, p_holder text, p_lease_us bigint, p_seen_epoch bigint, p_seen_until_us bigint
) RETURNS TABLE (epoch bigint, last_seq bigint, last_hash bytea, last_at_us bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO ledger.head VALUES (p_ledger, 0, 0, 0, decode(repeat('00', 32), 'hex'), 0, '', 0)
        ON CONFLICT DO NOTHING;
    RETURN QUERY
        UPDATE ledger.head AS h
        SET epoch = h.epoch + 1, prev_seq = h.last_seq, holder = p_holder,
            lease_until_us = infra.lease_now_us() + p_lease_us
        WHERE h.ledger_id = p_ledger AND (
            h.holder = p_holder OR h.lease_until_us <= infra.lease_now_us()
            OR (h.epoch = p_seen_epoch AND h.lease_until_us = p_seen_until_us))
        RETURNING h.epoch, h.last_seq, h.last_hash, h.last_at_us;
END $$;

-- A new epoch for the one who holds it already. Whom somebody followed gets nothing, run out or not.
CREATE FUNCTION ledger.take_lease(p_ledger text, p_holder text, p_lease_us bigint)
RETURNS TABLE (epoch bigint, last_seq bigint, last_hash bytea, last_at_us bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN QUERY
        UPDATE ledger.head AS h
        SET epoch = h.epoch + 1, prev_seq = h.last_seq,
            lease_until_us = infra.lease_now_us() + p_lease_us
        WHERE h.ledger_id = p_ledger AND h.holder = p_holder
        RETURNING h.epoch, h.last_seq, h.last_hash, h.last_at_us;
END $$;

-- A length of zero gives it back.
CREATE FUNCTION ledger.renew_lease(p_ledger text, p_epoch bigint, p_lease_us bigint)
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
