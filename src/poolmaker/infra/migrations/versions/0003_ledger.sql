-- Tables, triggers and functions of the balance ledger. Filled by the room business.ledger.
-- Schema-qualify every name. Tables made here belong to poolmaker_owner; see 0001 for who may do what by default.
--
-- Raw units: a debit is positive. A held account is at home at zero or above, an owed one at zero or below.
-- The writer proposes, the database judges. Its own errors:
--   LE001 fenced   LE002 not a proposal   LE003 balances differ   LE004 forged sequence   LE005 key conflict   LE006 only through its function

-- ---------------------------------------------------------------------------------------- tables

-- One row per ledger. (prev_seq, last_seq] is the range of the append that wrote the row last.
CREATE TABLE ledger.head (
    ledger_id text COLLATE "C" PRIMARY KEY,
    epoch bigint NOT NULL CHECK (epoch >= 0),
    prev_seq bigint NOT NULL CHECK (prev_seq >= 0),
    last_seq bigint NOT NULL CHECK (last_seq >= prev_seq),
    last_hash bytea NOT NULL CHECK (octet_length(last_hash) = 32),
    last_at_us bigint NOT NULL,
    holder text NOT NULL,
    lease_until_us bigint NOT NULL
) WITH (fillfactor = 20);

CREATE TABLE ledger.asset (
    ledger_id text COLLATE "C" NOT NULL REFERENCES ledger.head,
    asset_id integer NOT NULL CHECK (asset_id > 0),
    code text COLLATE "C" NOT NULL CHECK (code <> ''),
    scale smallint NOT NULL CHECK (scale BETWEEN 0 AND 18),
    PRIMARY KEY (ledger_id, asset_id),
    UNIQUE (ledger_id, code)
);

-- Which side an account is on and whether it may go below zero follow from its name alone.
CREATE TABLE ledger.account (
    ledger_id text COLLATE "C" NOT NULL,
    account_id bigint NOT NULL CHECK (account_id > 0),
    code text COLLATE "C" NOT NULL
        CHECK (code ~ '^(custody|transit|deficit|user|order|pool|exit|withdrawal|rewards|platform|suspense):.'),
    asset_id integer NOT NULL,
    is_held boolean NOT NULL
        GENERATED ALWAYS AS (code ~ '^(custody|transit|deficit):' OR code ~ '^pool:.*:issued$') STORED,
    may_go_below boolean NOT NULL
        GENERATED ALWAYS AS (code ~ '^(custody|transit|platform|suspense):') STORED,
    PRIMARY KEY (ledger_id, account_id),
    UNIQUE (ledger_id, code, asset_id),
    FOREIGN KEY (ledger_id, asset_id) REFERENCES ledger.asset
);

CREATE TABLE ledger.tx (
    ledger_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL CHECK (seq > 0),
    key text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    epoch bigint NOT NULL,
    at_us bigint NOT NULL,
    body bytea NOT NULL,
    body_hash bytea NOT NULL CHECK (body_hash = sha256(body)),
    chain_hash bytea NOT NULL CHECK (octet_length(chain_hash) = 32),
    PRIMARY KEY (ledger_id, seq)
);

CREATE TABLE ledger.entry (
    ledger_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    line smallint NOT NULL,
    account_id bigint NOT NULL,
    asset_id integer NOT NULL,
    units numeric(38,0) NOT NULL CHECK (units <> 0),
    balance_after numeric(38,0) NOT NULL,
    PRIMARY KEY (ledger_id, seq, line)
);
CREATE INDEX entry_account ON ledger.entry (ledger_id, account_id, seq);

-- Every key that was ever answered. A refusal is an answer too, for ever.
CREATE TABLE ledger.idem (
    ledger_id text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL CHECK (key <> ''),
    body_hash bytea NOT NULL CHECK (octet_length(body_hash) = 32),
    at_us bigint NOT NULL,
    seq bigint,
    reject text COLLATE "C",
    PRIMARY KEY (ledger_id, key),
    CHECK ((seq IS NULL) <> (reject IS NULL))
);

-- A key that came again with another body.
CREATE TABLE ledger.conflict (
    ledger_id text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    body_hash bytea NOT NULL,
    body bytea NOT NULL,
    at_us bigint NOT NULL,
    PRIMARY KEY (ledger_id, key, body_hash)
);

CREATE TABLE ledger.incident (
    ledger_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    subject text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    at_us bigint NOT NULL,
    PRIMARY KEY (ledger_id, kind, subject, key)
);

CREATE TABLE ledger.balance (
    ledger_id text COLLATE "C" NOT NULL,
    account_id bigint NOT NULL,
    raw numeric(38,0) NOT NULL,
    last_seq bigint NOT NULL,
    is_held boolean NOT NULL,
    may_go_below boolean NOT NULL,
    PRIMARY KEY (ledger_id, account_id),
    FOREIGN KEY (ledger_id, account_id) REFERENCES ledger.account,
    CONSTRAINT no_balance_below_zero
        CHECK (may_go_below OR CASE WHEN is_held THEN raw >= 0 ELSE raw <= 0 END)
) WITH (fillfactor = 50);

-- What the writer knows beside balances: pools, exits, orders, streams.
CREATE TABLE ledger.state (
    ledger_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    body bytea NOT NULL,
    PRIMARY KEY (ledger_id, kind, name)
) WITH (fillfactor = 70);

CREATE TABLE ledger.command (
    row_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ledger_id text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL CHECK (key <> ''),
    body bytea NOT NULL,
    body_hash bytea NOT NULL CHECK (body_hash = sha256(body)),
    seq bigint,
    reject text COLLATE "C",
    UNIQUE (ledger_id, key),
    CHECK (seq IS NULL OR reject IS NULL)
) WITH (fillfactor = 70);
CREATE INDEX command_pending ON ledger.command (ledger_id, row_id)
    WHERE seq IS NULL AND reject IS NULL;

-- -------------------------------------------------------------------------------------- triggers
-- Plans are kept for as long as a connection lives: one made for a small table or a small batch
-- must not scan a large one, hence the settings of the functions that read an append's range.
-- All are ENABLE ALWAYS at the end of this file, so that no session setting turns them off.

CREATE FUNCTION ledger.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'ledger.% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;

-- Changes only from within the named functions: the call stack is the server's own word.
CREATE FUNCTION ledger.refuse_bypass() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    stack text;
    allowed text;
BEGIN
    GET DIAGNOSTICS stack = PG_CONTEXT;
    FOREACH allowed IN ARRAY TG_ARGV LOOP
        IF stack LIKE '%function ledger.' || allowed || '(%' THEN
            RETURN NULL;
        END IF;
    END LOOP;
    RAISE EXCEPTION 'ledger.% changes only through %', TG_TABLE_NAME, array_to_string(TG_ARGV, ', ')
        USING ERRCODE = 'LE006';
END $$;

-- New rows belong to the range that this very transaction has reserved on the head.
CREATE FUNCTION ledger.check_sequence() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT FROM (
            SELECT ledger_id, min(seq) AS lowest, max(seq) AS highest FROM added GROUP BY ledger_id
        ) AS range
        WHERE NOT EXISTS (
            SELECT FROM ledger.head
            WHERE head.ledger_id = range.ledger_id
                AND range.lowest > head.prev_seq AND range.highest <= head.last_seq
                AND head.xmin = pg_current_xact_id()::xid)
    ) THEN
        RAISE EXCEPTION 'forged sequence in ledger.%', TG_TABLE_NAME USING ERRCODE = 'LE004';
    END IF;
    RETURN NULL;
END $$;

-- The asset of an entry is read from its account by append itself.
CREATE FUNCTION ledger.check_zero_sum() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added GROUP BY ledger_id, seq, asset_id HAVING sum(units) <> 0
    ) THEN
        RAISE EXCEPTION 'unbalanced transaction' USING ERRCODE = 'check_violation';
    END IF;
    RETURN NULL;
END $$;

-- A balance begins at zero and takes its account's flags.
CREATE FUNCTION ledger.check_new_balance() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added JOIN ledger.account USING (ledger_id, account_id)
        WHERE added.raw <> 0 OR added.last_seq <> 0
            OR added.is_held <> account.is_held OR added.may_go_below <> account.may_go_below
    ) THEN
        RAISE EXCEPTION 'a new balance that is not zero' USING ERRCODE = 'LE003';
    END IF;
    RETURN NULL;
END $$;

-- A balance moves by exactly the entries of this append, every entry's balance_after continues
-- the one before it, and no balance moves that has no entry.
CREATE FUNCTION ledger.check_balances() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off SET enable_nestloop = off AS $$
DECLARE
    h ledger.head;
    wrong bigint;
    ends bigint;
BEGIN
    SELECT * INTO h FROM ledger.head
        WHERE ledger_id = (SELECT min(ledger_id) FROM becomes) AND xmin = pg_current_xact_id()::xid;
    SELECT count(*) FILTER (
            WHERE balance_after IS DISTINCT FROM computed
                OR (is_last AND (claimed IS DISTINCT FROM computed OR last_seq IS DISTINCT FROM seq))),
        count(*) FILTER (WHERE is_last)
    INTO wrong, ends
    FROM (
        SELECT e.balance_after,
            o.raw + sum(e.units) OVER account_lines AS computed,
            lead(e.seq) OVER account_lines IS NULL AS is_last,
            n.raw AS claimed, e.seq, n.last_seq
        FROM ledger.entry e
        LEFT JOIN was o ON o.ledger_id = e.ledger_id AND o.account_id = e.account_id
        LEFT JOIN becomes n ON n.ledger_id = e.ledger_id AND n.account_id = e.account_id
            AND n.is_held = o.is_held AND n.may_go_below = o.may_go_below
        WHERE e.ledger_id = h.ledger_id AND e.seq > h.prev_seq AND e.seq <= h.last_seq
        WINDOW account_lines AS (PARTITION BY e.account_id ORDER BY e.seq, e.line)
    ) AS moved;
    IF wrong > 0 OR ends <> (SELECT count(*) FROM becomes) THEN
        RAISE EXCEPTION 'balances differ from the entries' USING ERRCODE = 'LE003';
    END IF;
    RETURN NULL;
END $$;

-- At the end of the transaction the range that the head names is there, whole and in order.
CREATE FUNCTION ledger.check_head() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    found record;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.last_seq <> 0 OR NEW.epoch <> 0 THEN
            RAISE EXCEPTION 'a ledger begins at zero' USING ERRCODE = 'LE004';
        END IF;
        RETURN NULL;
    END IF;
    IF NEW.ledger_id <> OLD.ledger_id OR NEW.epoch < OLD.epoch OR NEW.prev_seq <> OLD.last_seq THEN
        RAISE EXCEPTION 'forged head' USING ERRCODE = 'LE004';
    END IF;
    IF NEW.last_seq = OLD.last_seq THEN
        IF NEW.last_hash <> OLD.last_hash OR NEW.last_at_us <> OLD.last_at_us THEN
            RAISE EXCEPTION 'forged head' USING ERRCODE = 'LE004';
        END IF;
        RETURN NULL;
    END IF;
    SELECT count(*) AS n, min(at_us) AS first_us, bool_and(in_order) AS in_order INTO found
    FROM (
        SELECT at_us, coalesce(at_us > lag(at_us) OVER (ORDER BY seq), true) AS in_order
        FROM ledger.tx
        WHERE ledger_id = NEW.ledger_id AND seq > NEW.prev_seq AND seq <= NEW.last_seq
    ) AS rows;
    IF found.n <> NEW.last_seq - NEW.prev_seq OR NOT found.in_order
        OR found.first_us <= OLD.last_at_us
        OR NOT EXISTS (
            SELECT FROM ledger.tx WHERE ledger_id = NEW.ledger_id AND seq = NEW.last_seq
                AND chain_hash = NEW.last_hash AND at_us = NEW.last_at_us AND epoch = NEW.epoch)
    THEN
        RAISE EXCEPTION 'forged head' USING ERRCODE = 'LE004';
    END IF;
    -- The balances were compared with every entry when they moved; here, that they did move.
    IF EXISTS (
        SELECT FROM (
            SELECT account_id, seq FROM ledger.entry
            WHERE ledger_id = NEW.ledger_id AND seq > NEW.prev_seq AND seq <= NEW.last_seq
            ORDER BY seq DESC, line DESC LIMIT 1
        ) AS e
        LEFT JOIN ledger.balance b ON b.ledger_id = NEW.ledger_id AND b.account_id = e.account_id
        WHERE b.last_seq IS DISTINCT FROM e.seq
    ) THEN
        RAISE EXCEPTION 'entries without their balance' USING ERRCODE = 'LE003';
    END IF;
    RETURN NULL;
END $$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['asset', 'account', 'tx', 'entry', 'idem', 'conflict', 'incident'] LOOP
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger.%I'
            ' FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['head', 'balance', 'state', 'command'] LOOP
        EXECUTE format('CREATE TRIGGER never_removed BEFORE DELETE OR TRUNCATE ON ledger.%I'
            ' FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_change()', name);
    END LOOP;
    FOREACH name IN ARRAY ARRAY['account', 'tx', 'entry', 'idem', 'conflict', 'balance', 'state'] LOOP
        EXECUTE format('CREATE TRIGGER only_inside BEFORE INSERT OR UPDATE ON ledger.%I'
            ' FOR EACH STATEMENT EXECUTE FUNCTION ledger.refuse_bypass(''append'')', name);
    END LOOP;
END $$;

CREATE TRIGGER only_inside BEFORE INSERT OR UPDATE ON ledger.head FOR EACH STATEMENT
    EXECUTE FUNCTION ledger.refuse_bypass('append', 'take_lease', 'renew_lease', 'register_asset');
CREATE TRIGGER only_inside BEFORE INSERT OR UPDATE ON ledger.asset FOR EACH STATEMENT
    EXECUTE FUNCTION ledger.refuse_bypass('append', 'register_asset');
CREATE TRIGGER only_inside BEFORE INSERT OR UPDATE ON ledger.incident FOR EACH STATEMENT
    EXECUTE FUNCTION ledger.refuse_bypass('append', 'open_incidents');
CREATE TRIGGER only_inside BEFORE INSERT OR UPDATE ON ledger.command FOR EACH STATEMENT
    EXECUTE FUNCTION ledger.refuse_bypass('append', 'ask');

CREATE TRIGGER in_sequence AFTER INSERT ON ledger.tx REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_sequence();
CREATE TRIGGER in_sequence AFTER INSERT ON ledger.entry REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_sequence();
CREATE TRIGGER zero_sum AFTER INSERT ON ledger.entry REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_zero_sum();
CREATE TRIGGER begins_at_zero AFTER INSERT ON ledger.balance REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_new_balance();
CREATE TRIGGER follows_entries AFTER UPDATE ON ledger.balance
    REFERENCING OLD TABLE AS was NEW TABLE AS becomes
    FOR EACH STATEMENT EXECUTE FUNCTION ledger.check_balances();
CREATE CONSTRAINT TRIGGER whole_range AFTER INSERT OR UPDATE ON ledger.head
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION ledger.check_head();

DO $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT t.tgname, c.relname FROM pg_catalog.pg_trigger t
        JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = 'ledger' AND NOT t.tgisinternal
    LOOP
        EXECUTE format('ALTER TABLE ledger.%I ENABLE ALWAYS TRIGGER %I', found.relname, found.tgname);
    END LOOP;
END $$;

-- ------------------------------------------------------------------------------------- functions

-- Whoever takes the lease owns a new epoch; the old owner's appends fail from then on.
CREATE FUNCTION ledger.take_lease(
    p_ledger text, p_holder text, p_now_us bigint, p_until_us bigint
) RETURNS TABLE (epoch bigint, last_seq bigint, last_hash bytea, last_at_us bigint)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO ledger.head VALUES (p_ledger, 0, 0, 0, decode(repeat('00', 32), 'hex'), 0, '', 0)
        ON CONFLICT DO NOTHING;
    RETURN QUERY
        UPDATE ledger.head AS h
        SET epoch = h.epoch + 1, prev_seq = h.last_seq, holder = p_holder,
            lease_until_us = p_until_us
        WHERE h.ledger_id = p_ledger AND (h.holder = p_holder OR h.lease_until_us <= p_now_us)
        RETURNING h.epoch, h.last_seq, h.last_hash, h.last_at_us;
END $$;

CREATE FUNCTION ledger.renew_lease(p_ledger text, p_epoch bigint, p_until_us bigint)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    UPDATE ledger.head AS h SET prev_seq = h.last_seq, lease_until_us = p_until_us
        WHERE h.ledger_id = p_ledger AND h.epoch = p_epoch;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'fenced: epoch % is stale', p_epoch USING ERRCODE = 'LE001';
    END IF;
END $$;

-- An asset is known for ever, with its scale.
CREATE FUNCTION ledger.register_asset(p_ledger text, p_code text, p_scale integer)
RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    known smallint;
BEGIN
    INSERT INTO ledger.head VALUES (p_ledger, 0, 0, 0, decode(repeat('00', 32), 'hex'), 0, '', 0)
        ON CONFLICT DO NOTHING;
    PERFORM FROM ledger.head WHERE ledger_id = p_ledger FOR UPDATE;
    SELECT scale INTO known FROM ledger.asset WHERE ledger_id = p_ledger AND code = p_code;
    IF known IS NULL THEN
        INSERT INTO ledger.asset
            SELECT p_ledger, coalesce(max(asset_id), 0) + 1, p_code, p_scale
            FROM ledger.asset WHERE ledger_id = p_ledger;
    ELSIF known <> p_scale THEN
        RAISE EXCEPTION 'asset % has scale %', p_code, known USING ERRCODE = 'LE005';
    END IF;
END $$;

CREATE FUNCTION ledger.open_incidents(
    p_ledger text, p_kinds text[], p_subjects text[], p_keys text[], p_at_us text
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO ledger.incident
        SELECT p_ledger, i.kind, i.subject, i.key, i.at_us
        FROM unnest(p_kinds, p_subjects, p_keys, string_to_array(p_at_us, ',')::bigint[])
            AS i (kind, subject, key, at_us)
        ON CONFLICT DO NOTHING;
END $$;

-- A command row in the caller's own transaction. The writer is woken when it commits.
CREATE FUNCTION ledger.ask(p_ledger text, p_key text, p_body bytea) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO ledger.command (ledger_id, key, body, body_hash)
        VALUES (p_ledger, p_key, p_body, sha256(p_body))
        ON CONFLICT (ledger_id, key) DO NOTHING;
    IF FOUND THEN
        PERFORM pg_notify('ledger_command', p_ledger);
    END IF;
    IF EXISTS (
        SELECT FROM ledger.command
        WHERE ledger_id = p_ledger AND key = p_key AND body_hash <> sha256(p_body)
        UNION ALL
        SELECT FROM ledger.idem
        WHERE ledger_id = p_ledger AND key = p_key AND body_hash <> sha256(p_body)
    ) THEN
        RAISE EXCEPTION 'key % was used for another command', p_key USING ERRCODE = 'LE005';
    END IF;
END $$;

-- The only way in. One call is one transaction: the fence, the keys, the transactions, their
-- entries, the balances, the answers to command rows, one notification. Numbers come joined by
-- commas, which is cheaper to send than arrays. Nothing is applied unless everything is.
CREATE FUNCTION ledger.append(
    p_ledger text, p_epoch bigint, p_from bigint, p_head_hash bytea, p_head_at_us bigint,
    -- assets and accounts that appear
    s_codes text[], s_scales text,
    a_ids text, a_codes text[], a_assets text[],
    -- transactions, in order; e_tx counts from 1
    t_keys text[], t_kinds text[], t_at_us text, t_bodies bytea[], t_hashes bytea[],
    e_tx text, e_line text, e_account text, e_units text, e_after text,
    b_account text, b_raw text, b_seq text,
    -- refusals, conflicts, incidents, state, answers
    r_keys text[], r_hashes bytea[], r_at_us text, r_reasons text[],
    c_keys text[], c_bodies bytea[], c_at_us text,
    i_kinds text[], i_subjects text[], i_keys text[], i_at_us text,
    k_kinds text[], k_names text[], k_bodies bytea[],
    q_rows text, q_seqs text[], q_reasons text[]
) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
AS $$
DECLARE
    n bigint := cardinality(t_keys);
    touched bigint;
BEGIN
    -- An answer leaves only after it is durable, whatever the session would accept.
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    UPDATE ledger.head AS h
        SET prev_seq = h.last_seq, last_seq = h.last_seq + n,
            last_hash = CASE WHEN n > 0 THEN p_head_hash ELSE h.last_hash END,
            last_at_us = CASE WHEN n > 0 THEN p_head_at_us ELSE h.last_at_us END
        WHERE h.ledger_id = p_ledger AND h.epoch = p_epoch AND h.last_seq = p_from;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'fenced: epoch % at % is stale', p_epoch, p_from USING ERRCODE = 'LE001';
    END IF;
    IF cardinality(s_codes) > 0 THEN
        INSERT INTO ledger.asset
            SELECT p_ledger, (SELECT coalesce(max(asset_id), 0) FROM ledger.asset
                              WHERE ledger_id = p_ledger) + s.ord, s.code, s.scale
            FROM unnest(s_codes, string_to_array(s_scales, ',')::smallint[])
                WITH ORDINALITY AS s (code, scale, ord);
    END IF;
    IF cardinality(a_codes) > 0 THEN
        INSERT INTO ledger.account (ledger_id, account_id, code, asset_id)
            SELECT p_ledger, a.account_id, a.code, s.asset_id
            FROM unnest(string_to_array(a_ids, ',')::bigint[], a_codes, a_assets)
                AS a (account_id, code, asset)
            LEFT JOIN ledger.asset s ON s.ledger_id = p_ledger AND s.code = a.asset;
        INSERT INTO ledger.balance
            SELECT p_ledger, a.account_id, 0, 0, a.is_held, a.may_go_below
            FROM ledger.account a
            WHERE a.ledger_id = p_ledger
                AND a.account_id = ANY (string_to_array(a_ids, ',')::bigint[]);
    END IF;
    IF n > 0 THEN
        INSERT INTO ledger.tx
            SELECT p_ledger, p_from + t.ord, t.key, t.kind, p_epoch, t.at_us, t.body,
                sha256(t.body), t.hash
            FROM unnest(t_keys, t_kinds, string_to_array(t_at_us, ',')::bigint[], t_bodies, t_hashes)
                WITH ORDINALITY AS t (key, kind, at_us, body, hash, ord);
        INSERT INTO ledger.idem
            SELECT p_ledger, t.key, sha256(t.body), t.at_us, p_from + t.ord, NULL
            FROM unnest(t_keys, string_to_array(t_at_us, ',')::bigint[], t_bodies)
                WITH ORDINALITY AS t (key, at_us, body, ord);
        INSERT INTO ledger.entry
            SELECT p_ledger, p_from + e.tx, e.line, e.account_id, a.asset_id, e.units, e.after
            FROM unnest(
                    string_to_array(e_tx, ',')::bigint[], string_to_array(e_line, ',')::smallint[],
                    string_to_array(e_account, ',')::bigint[],
                    string_to_array(e_units, ',')::numeric[], string_to_array(e_after, ',')::numeric[])
                AS e (tx, line, account_id, units, after)
            LEFT JOIN ledger.account a ON a.ledger_id = p_ledger AND a.account_id = e.account_id;
        UPDATE ledger.balance AS b SET raw = c.raw, last_seq = p_from + c.tx
            FROM unnest(
                    string_to_array(b_account, ',')::bigint[], string_to_array(b_raw, ',')::numeric[],
                    string_to_array(b_seq, ',')::bigint[])
                AS c (account_id, raw, tx)
            WHERE b.ledger_id = p_ledger AND b.account_id = c.account_id;
        GET DIAGNOSTICS touched = ROW_COUNT;
        IF touched <> cardinality(string_to_array(b_account, ',')) THEN
            RAISE EXCEPTION 'unknown account' USING ERRCODE = 'LE002';
        END IF;
    END IF;
    IF cardinality(r_keys) > 0 THEN
        INSERT INTO ledger.idem
            SELECT p_ledger, r.key, r.body_hash, r.at_us, NULL, r.reason
            FROM unnest(r_keys, r_hashes, string_to_array(r_at_us, ',')::bigint[], r_reasons)
                AS r (key, body_hash, at_us, reason);
    END IF;
    IF cardinality(c_keys) > 0 THEN
        INSERT INTO ledger.conflict
            SELECT p_ledger, c.key, sha256(c.body), c.body, c.at_us
            FROM unnest(c_keys, c_bodies, string_to_array(c_at_us, ',')::bigint[])
                AS c (key, body, at_us)
            ON CONFLICT DO NOTHING;
    END IF;
    IF cardinality(i_kinds) > 0 THEN
        INSERT INTO ledger.incident
            SELECT p_ledger, i.kind, i.subject, i.key, i.at_us
            FROM unnest(i_kinds, i_subjects, i_keys, string_to_array(i_at_us, ',')::bigint[])
                AS i (kind, subject, key, at_us)
            ON CONFLICT DO NOTHING;
    END IF;
    IF cardinality(k_kinds) > 0 THEN
        INSERT INTO ledger.state
            SELECT p_ledger, k.kind, k.name, k.body
            FROM unnest(k_kinds, k_names, k_bodies) AS k (kind, name, body)
            ON CONFLICT (ledger_id, kind, name) DO UPDATE SET body = EXCLUDED.body;
    END IF;
    IF q_rows <> '' THEN
        UPDATE ledger.command AS q SET seq = nullif(d.seq, '')::bigint, reject = nullif(d.reason, '')
            FROM unnest(string_to_array(q_rows, ',')::bigint[], q_seqs, q_reasons)
                AS d (row_id, seq, reason)
            WHERE q.row_id = d.row_id AND q.ledger_id = p_ledger
                AND q.seq IS NULL AND q.reject IS NULL;
        PERFORM pg_notify('ledger_answer', p_ledger);
    END IF;
    IF n > 0 THEN
        PERFORM pg_notify('ledger_log', p_ledger || ':' || (p_from + n));
    END IF;
END $$;

-- ----------------------------------------------------------------------------------------- rights

GRANT EXECUTE ON FUNCTION ledger.ask(text, text, bytea) TO poolmaker_app;
