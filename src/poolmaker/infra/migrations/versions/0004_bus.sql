-- Tables of the event bus: streams, events, cursors, dead letters. Filled by the room bus.
-- Schema-qualify every name. Tables made here belong to poolmaker_owner; see 0001 for who may do what by default.
-- Its own errors: BU001 a key with another body, BU002 a forged sequence.

-- The newest event of each stream. Whoever appends holds this row until his transaction ends, so
-- the order of sequences is the order of commits and there are no gaps.
CREATE TABLE bus.head (
    stream text COLLATE "C" PRIMARY KEY CHECK (stream <> ''),
    last_seq bigint NOT NULL CHECK (last_seq >= 0),
    last_hash bytea NOT NULL CHECK (octet_length(last_hash) = 32)
) WITH (fillfactor = 50);

CREATE TABLE bus.event (
    stream text COLLATE "C" NOT NULL,
    seq bigint NOT NULL CHECK (seq > 0),
    key text COLLATE "C" NOT NULL CHECK (key <> ''),
    body bytea NOT NULL,
    body_hash bytea NOT NULL CHECK (body_hash = sha256(body)),
    chain_hash bytea NOT NULL CHECK (octet_length(chain_hash) = 32),
    occurred_at_us bigint NOT NULL,
    recorded_at_us bigint NOT NULL,
    causation text NOT NULL,
    correlation text NOT NULL,
    PRIMARY KEY (stream, seq),
    UNIQUE (stream, key)
);

-- Up to where a consumer has applied a stream, moved together with its effect.
CREATE TABLE bus.cursor (
    consumer text COLLATE "C" NOT NULL CHECK (consumer <> ''),
    stream text COLLATE "C" NOT NULL,
    seq bigint NOT NULL CHECK (seq >= 0),
    PRIMARY KEY (consumer, stream)
) WITH (fillfactor = 50);

-- An event that stopped its consumer. At most one is open per consumer and stream: nothing is
-- skipped, so nothing can fail behind it.
CREATE TABLE bus.dead_letter (
    consumer text COLLATE "C" NOT NULL,
    stream text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    error text NOT NULL,
    failures bigint NOT NULL CHECK (failures > 0),
    failed_at_us bigint NOT NULL,
    replay_asked boolean NOT NULL DEFAULT false,
    PRIMARY KEY (consumer, stream)
);

CREATE FUNCTION bus.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'bus.% never loses what it has: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;

-- A head only grows, one append at a time, and a cursor only moves forward within its stream.
CREATE FUNCTION bus.check_head() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off AS $$
DECLARE
    before bigint := 0;
    found bigint;
BEGIN
    IF TG_OP = 'UPDATE' THEN
        before := OLD.last_seq;
        IF NEW.stream <> OLD.stream OR NEW.last_seq <= OLD.last_seq THEN
            RAISE EXCEPTION 'forged head of stream %', NEW.stream USING ERRCODE = 'BU002';
        END IF;
    END IF;
    SELECT count(*) INTO found FROM bus.event
        WHERE stream = NEW.stream AND seq > before AND seq <= NEW.last_seq;
    IF found <> NEW.last_seq - before OR (NEW.last_seq > 0 AND NOT EXISTS (
        SELECT FROM bus.event
        WHERE stream = NEW.stream AND seq = NEW.last_seq AND chain_hash = NEW.last_hash))
    THEN
        RAISE EXCEPTION 'forged head of stream %', NEW.stream USING ERRCODE = 'BU002';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION bus.check_sequence() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT FROM added WHERE NOT EXISTS (
            SELECT FROM bus.head
            WHERE head.stream = added.stream AND added.seq <= head.last_seq
                AND head.xmin = pg_current_xact_id()::xid)
    ) THEN
        RAISE EXCEPTION 'forged sequence in bus.event' USING ERRCODE = 'BU002';
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION bus.check_cursor() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.consumer <> OLD.consumer OR NEW.stream <> OLD.stream OR NEW.seq < OLD.seq THEN
        RAISE EXCEPTION 'a cursor never moves back' USING ERRCODE = 'BU002';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON bus.event
    FOR EACH STATEMENT EXECUTE FUNCTION bus.refuse_change();
CREATE TRIGGER in_sequence AFTER INSERT ON bus.event REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION bus.check_sequence();
CREATE TRIGGER never_removed BEFORE DELETE OR TRUNCATE ON bus.head
    FOR EACH STATEMENT EXECUTE FUNCTION bus.refuse_change();
CREATE TRIGGER never_removed BEFORE DELETE OR TRUNCATE ON bus.cursor
    FOR EACH STATEMENT EXECUTE FUNCTION bus.refuse_change();
CREATE TRIGGER forward_only BEFORE UPDATE ON bus.cursor
    FOR EACH ROW EXECUTE FUNCTION bus.check_cursor();
CREATE CONSTRAINT TRIGGER whole_range AFTER INSERT OR UPDATE ON bus.head
    DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION bus.check_head();

ALTER TABLE bus.event ENABLE ALWAYS TRIGGER append_only;
ALTER TABLE bus.event ENABLE ALWAYS TRIGGER in_sequence;
ALTER TABLE bus.head ENABLE ALWAYS TRIGGER never_removed;
ALTER TABLE bus.cursor ENABLE ALWAYS TRIGGER never_removed;
ALTER TABLE bus.cursor ENABLE ALWAYS TRIGGER forward_only;
ALTER TABLE bus.head ENABLE ALWAYS TRIGGER whole_range;

-- Whoever appends only inserts events and moves heads; nobody rewrites them.
REVOKE UPDATE, DELETE ON bus.event FROM poolmaker_app;
REVOKE DELETE ON bus.head, bus.cursor FROM poolmaker_app;
