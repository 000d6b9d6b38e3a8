-- Tables of infra: leases, sagas, schedule. Filled by the room infra.
-- Schema-qualify every name. Tables made here belong to poolmaker_owner; see 0001 for who may do what by default.
-- All times are microseconds since the Unix epoch and come as parameters.

-- A named right to try. The epoch grows with every new holder and never repeats.
CREATE TABLE infra.lease (
    name text PRIMARY KEY,
    epoch bigint NOT NULL CHECK (epoch > 0),
    holder text NOT NULL,
    until_us bigint NOT NULL
) WITH (fillfactor = 50);

-- One row per saga. due_us NULL: ended, or parked when incident says why.
CREATE TABLE infra.saga (
    id text COLLATE "C" PRIMARY KEY,
    kind text NOT NULL,
    state text NOT NULL,
    version bigint NOT NULL CHECK (version >= 0),
    due_us bigint,
    tries integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
    data bytea NOT NULL,
    correlation text NOT NULL,
    -- Somebody woke it after it was claimed: whatever the step says, it is due again at once.
    woken boolean NOT NULL DEFAULT false,
    lease_holder text NOT NULL DEFAULT '',
    lease_until_us bigint NOT NULL DEFAULT 0,
    incident text NOT NULL DEFAULT '',
    note text NOT NULL DEFAULT '',
    started_at_us bigint NOT NULL,
    CHECK (incident = '' OR due_us IS NULL)
) WITH (fillfactor = 70);
CREATE INDEX saga_due ON infra.saga (due_us, id) WHERE due_us IS NOT NULL;
CREATE INDEX saga_parked ON infra.saga (id) WHERE incident <> '';

-- Every advance, for people who ask what happened.
CREATE TABLE infra.saga_step (
    saga_id text COLLATE "C" NOT NULL REFERENCES infra.saga,
    version bigint NOT NULL,
    state_before text NOT NULL,
    state_after text NOT NULL,
    at_us bigint NOT NULL,
    note text NOT NULL DEFAULT '',
    PRIMARY KEY (saga_id, version)
);

-- The next window of each job that has not been started.
CREATE TABLE infra.schedule (
    job text PRIMARY KEY,
    next_window_us bigint NOT NULL
) WITH (fillfactor = 50);
