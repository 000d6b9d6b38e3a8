-- pools

-- What a join offers, so that the depth of its barrier's prices covers its excess.
ALTER TABLE business.ticket
    ADD COLUMN base_units numeric(38, 0) NOT NULL DEFAULT 0 CHECK (base_units >= 0),
    ADD COLUMN quote_units numeric(38, 0) NOT NULL DEFAULT 0 CHECK (quote_units >= 0),
    ADD COLUMN due_us bigint NOT NULL DEFAULT 0;

-- An excess that waits for a price may be taken back, and a user may name the least shares.
ALTER TABLE business.user_order DROP CONSTRAINT user_order_wish_check;
ALTER TABLE business.user_order
    ADD CONSTRAINT user_order_wish_check CHECK (wish IN ('none', 'pause', 'withdraw', 'take_back')),
    ADD COLUMN shares_min numeric(38, 0) NOT NULL DEFAULT 0 CHECK (shares_min >= 0);

-- From when on nothing counts: the cancellation of a campaign was asked for.
ALTER TABLE business.campaign ADD COLUMN cancelled_us bigint NOT NULL DEFAULT 0;
