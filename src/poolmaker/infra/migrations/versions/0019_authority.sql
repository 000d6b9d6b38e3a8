-- What waits for a second person, and what became of it. An action is named by its content: the
-- digest is of everything that is approved, so that an approval can never be used for another.
CREATE TABLE infra.approval (
    id            text COLLATE "C" PRIMARY KEY,
    action        text   NOT NULL,
    subject       text   NOT NULL,
    body          bytea  NOT NULL CHECK (octet_length(body) <= 16384),
    digest        bytea  NOT NULL CHECK (octet_length(digest) = 32),
    state         text   NOT NULL
        CHECK (state IN ('waiting', 'approved', 'used', 'cancelled', 'lapsed')),
    requested_by  text   NOT NULL,
    requested_us  bigint NOT NULL,
    approved_by   text   NOT NULL DEFAULT '',
    approved_us   bigint NOT NULL DEFAULT 0,
    used_for      text   NOT NULL DEFAULT '',
    CHECK ((approved_by = '') = (approved_us = 0)),
    CHECK (state NOT IN ('approved', 'used') OR approved_by <> ''),
    CHECK ((state = 'used') = (used_for <> ''))
);
CREATE UNIQUE INDEX approval_open ON infra.approval (action, subject, digest)
    WHERE state IN ('waiting', 'approved');
CREATE INDEX approval_used ON infra.approval (used_for) WHERE used_for <> '';

CREATE TABLE infra.approval_step (
    step          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    approval_id   text COLLATE "C" NOT NULL REFERENCES infra.approval,
    state         text   NOT NULL,
    event         text   NOT NULL,
    by            text   NOT NULL,
    at_us         bigint NOT NULL
);
CREATE INDEX approval_step_of ON infra.approval_step (approval_id, step);

-- The history is only added to, and what was asked for is never changed.
REVOKE UPDATE, DELETE ON infra.approval_step FROM poolmaker_app;
REVOKE UPDATE, DELETE ON infra.approval FROM poolmaker_app;
GRANT UPDATE (state, approved_by, approved_us, used_for) ON infra.approval TO poolmaker_app;
