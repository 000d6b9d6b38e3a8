-- Who issues tokens is not their own second person under another name.
-- Schema-qualify every name.

-- A token of the staff that two names agreed to. Of before, the approval says so that was used for
-- it; one that says nothing speaks for who granted it.
ALTER TABLE api.token ADD COLUMN vouched boolean NOT NULL DEFAULT false;
UPDATE api.token AS t SET vouched = true
    FROM infra.approval AS a
    WHERE t.role <> 'user' AND a.action = 'token.grant' AND a.subject = t.name
        AND a.approved_by <> a.requested_by
        AND t.token_id = 'tk_' || substring(a.used_for FROM '[^_]*$');
ALTER TABLE api.token ALTER COLUMN vouched DROP DEFAULT;
