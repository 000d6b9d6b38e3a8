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

-- A token says what it may be used for and until when. Those of earlier versions may do all of
-- their role, for a year from when they were granted.
ALTER TABLE api.token ADD COLUMN token_id text COLLATE "C";
ALTER TABLE api.token ADD COLUMN scopes text[] NOT NULL DEFAULT '{}';
ALTER TABLE api.token ADD COLUMN expires_us bigint;
ALTER TABLE api.token ADD COLUMN granted_by text NOT NULL DEFAULT 'operator';
UPDATE api.token SET
    token_id = 'tk_' || encode(substring(token_hash FROM 1 FOR 13), 'hex'),
    expires_us = granted_us + 366::bigint * 86400 * 1000000,
    scopes = CASE role
        WHEN 'user' THEN '{orders,read,tokens,withdraw}'
        WHEN 'viewer' THEN '{read}'
        WHEN 'operator' THEN '{approve,money,orders,read,safety,tokens,users,withdraw}'
        ELSE '{approve,money,read,safety}'
    END::text[];
ALTER TABLE api.token ALTER COLUMN token_id SET NOT NULL;
ALTER TABLE api.token ALTER COLUMN expires_us SET NOT NULL;
ALTER TABLE api.token ALTER COLUMN scopes DROP DEFAULT;
ALTER TABLE api.token ALTER COLUMN granted_by DROP DEFAULT;
ALTER TABLE api.token ADD CONSTRAINT token_id_once UNIQUE (token_id);

-- Until when somebody works under a key; whoever comes meanwhile waits for the answer.
ALTER TABLE api.request ADD COLUMN working_until_us bigint NOT NULL DEFAULT 0;

-- A disabled user opens nothing; money still goes to their own wallet. 0: not disabled.
ALTER TABLE business.app_user ADD COLUMN disabled_us bigint NOT NULL DEFAULT 0;
CREATE INDEX app_user_name ON business.app_user (name);

-- A user of before who has no wallet claims one, and proves it by a payment from there.
CREATE TABLE business.wallet_claim (
    trace         text   PRIMARY KEY,
    user_id       text   NOT NULL REFERENCES business.app_user,
    mixin_id      text   NOT NULL CHECK (mixin_id <> ''),
    claimed_us    bigint NOT NULL,
    until_us      bigint NOT NULL,
    proven_us     bigint NOT NULL DEFAULT 0,
    UNIQUE (user_id, mixin_id)
);
