-- Tables of the HuFi client: campaigns known and joined.
-- Schema-qualify every name. Tables made here belong to poolmaker_owner; see 0001 for who may do what by default.
-- All times are microseconds since the Unix epoch and come as parameters.

CREATE SCHEMA hufi;

GRANT USAGE ON SCHEMA hufi TO poolmaker_writer, poolmaker_app, poolmaker_reader;
ALTER DEFAULT PRIVILEGES IN SCHEMA hufi GRANT INSERT, UPDATE, DELETE ON TABLES TO poolmaker_app;

-- One row per campaign that was asked for, written before the oracle is asked.
CREATE TABLE hufi.participation (
    campaign  text    PRIMARY KEY,
    state     text    NOT NULL CHECK (state IN ('asking', 'joined', 'refused')),
    -- The oracle's own words for the last refusal; kept when it is asked again.
    reason    text    NOT NULL DEFAULT '',
    tries     integer NOT NULL DEFAULT 0 CHECK (tries >= 0),
    -- When it is asked again; far away once it is final.
    due_us    bigint  NOT NULL,
    asked_us  bigint  NOT NULL,
    joined_us bigint  NOT NULL DEFAULT 0,
    CHECK ((state = 'joined') <= (joined_us > 0))
);
