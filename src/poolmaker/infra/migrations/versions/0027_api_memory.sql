-- What the API remembers: which tokens know their users, and answers until they are old.
-- Schema-qualify every name.

-- A user's token that was there before wallets were bound (0019 named it by its hash), or one that
-- such a token issued. Nobody else claims a wallet alone.
ALTER TABLE api.token ADD COLUMN binds_wallet boolean NOT NULL DEFAULT false;
UPDATE api.token SET binds_wallet = true
    WHERE role = 'user' AND token_id = 'tk_' || encode(substring(token_hash FROM 1 FOR 13), 'hex');
ALTER TABLE api.token ALTER COLUMN binds_wallet DROP DEFAULT;
ALTER TABLE api.token ADD CHECK (role = 'user' OR NOT binds_wallet);

-- Claims of before may have been made by anybody; whoever may claim does it again.
UPDATE business.wallet_claim SET until_us = claimed_us;

-- What was answered is forgotten by age.
CREATE INDEX request_answered ON api.request (claimed_us) WHERE status < 500;
