-- What needs a person, and what a person did about it.
-- Schema-qualify every name. Tables made here belong to poolmaker_owner; see 0001 for who may do what by default.

-- A named person has closed an item of the list: it holds for the evidence that the fingerprint covers.
CREATE TABLE infra.attention_closing (
    item text COLLATE "C" NOT NULL CHECK (item <> ''),
    fingerprint bytea NOT NULL CHECK (octet_length(fingerprint) = 32),
    closed_by text NOT NULL CHECK (closed_by <> ''),
    reason text NOT NULL CHECK (reason <> ''),
    at_us bigint NOT NULL,
    PRIMARY KEY (item, fingerprint)
);

CREATE FUNCTION infra.refuse_closing_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'infra.% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON infra.attention_closing
    FOR EACH STATEMENT EXECUTE FUNCTION infra.refuse_closing_change();
ALTER TABLE infra.attention_closing ENABLE ALWAYS TRIGGER append_only;

-- An event that a named person has skipped for a consumer: it was never applied there.
CREATE TABLE bus.skipped_event (
    consumer text COLLATE "C" NOT NULL,
    stream text COLLATE "C" NOT NULL,
    seq bigint NOT NULL CHECK (seq > 0),
    error text NOT NULL,
    skipped_by text NOT NULL CHECK (skipped_by <> ''),
    reason text NOT NULL CHECK (reason <> ''),
    at_us bigint NOT NULL,
    PRIMARY KEY (consumer, stream, seq)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON bus.skipped_event
    FOR EACH STATEMENT EXECUTE FUNCTION bus.refuse_change();
ALTER TABLE bus.skipped_event ENABLE ALWAYS TRIGGER append_only;

-- A person asks that a stopped consumer leaves its event out; the consumer itself then does so.
ALTER TABLE bus.dead_letter ADD COLUMN skip_by text NOT NULL DEFAULT '';
ALTER TABLE bus.dead_letter ADD COLUMN skip_reason text NOT NULL DEFAULT '';

-- What was credited for an order, whoever asks for its figures.
CREATE INDEX reward_part_order ON business.reward_part (order_id);

-- A person's word on a reward that nobody can be given by the rules; the newest counts.
CREATE TABLE business.reward_decision (
    reward text NOT NULL REFERENCES business.reward,
    number integer NOT NULL CHECK (number > 0),
    kind text NOT NULL CHECK (kind IN ('keep', 'assign')),
    pool text NOT NULL,
    decided_by text NOT NULL CHECK (decided_by <> ''),
    reason text NOT NULL CHECK (reason <> ''),
    at_us bigint NOT NULL,
    PRIMARY KEY (reward, number),
    CHECK ((kind = 'assign') = (pool <> ''))
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON business.reward_decision
    FOR EACH STATEMENT EXECUTE FUNCTION business.refuse_change();
ALTER TABLE business.reward_decision ENABLE ALWAYS TRIGGER append_only;
