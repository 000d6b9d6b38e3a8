-- What the API remembers. Money never depends on it: the rooms behind it are idempotent by request id.

CREATE SCHEMA api;

GRANT USAGE ON SCHEMA api TO poolmaker_writer, poolmaker_app, poolmaker_reader;

-- Only the application sees these rows; a reader of the books has no business with them.
ALTER DEFAULT PRIVILEGES IN SCHEMA api GRANT INSERT, UPDATE, DELETE ON TABLES TO poolmaker_app;

-- A token has 256 bits of chance; its SHA-256 tells nothing about it.
CREATE TABLE api.token (
    token_hash    bytea PRIMARY KEY CHECK (octet_length(token_hash) = 32),
    role          text   NOT NULL CHECK (role IN ('user', 'viewer', 'operator', 'treasurer')),
    name          text   NOT NULL,
    user_id       text,
    granted_us    bigint NOT NULL,
    revoked_us    bigint,
    CHECK ((role = 'user') = (user_id IS NOT NULL))
);
CREATE INDEX token_user ON api.token (user_id) WHERE user_id IS NOT NULL;

-- The row is durable before anything is done under its key; the answer follows when it is known.
CREATE TABLE api.request (
    caller        text   NOT NULL,
    key           text   NOT NULL,
    fingerprint   bytea  NOT NULL CHECK (octet_length(fingerprint) = 32),
    made_id       text   NOT NULL,
    claimed_us    bigint NOT NULL,
    status        integer,
    body          bytea,
    PRIMARY KEY (caller, key),
    CHECK ((status IS NULL) = (body IS NULL))
);
