-- Campaigns, rewards, allocations and the history of shares.
-- Schema-qualify every name. Tables made here belong to poolmaker_owner; see 0001 for who may do what by default.
-- Amounts are atomic units of the asset register. All times are microseconds since the Unix epoch and come as parameters.

-- -------------------------------------------------------------------------------------- campaigns

-- What is offered, and our part in it. pool is empty while no pool of ours makes its market.
CREATE TABLE business.campaign (
    campaign text PRIMARY KEY,
    source text NOT NULL,
    kind text NOT NULL,
    venue text NOT NULL,
    market text NOT NULL,
    start_us bigint NOT NULL,
    end_us bigint NOT NULL,
    day_us bigint NOT NULL CHECK (day_us > 0),
    form text NOT NULL,
    fund_units numeric(38, 0) NOT NULL CHECK (fund_units >= 0),
    target text NOT NULL,
    status text NOT NULL CHECK (status IN ('active', 'ending', 'ended')),
    pool text NOT NULL,
    state text NOT NULL CHECK (state IN ('seen', 'wanted', 'joined', 'refused', 'ended')),
    joined_at_us bigint NOT NULL,
    text text NOT NULL,
    CHECK (start_us < end_us)
) WITH (fillfactor = 70);

-- The story of each campaign; only ever added to.
CREATE TABLE business.campaign_line (
    campaign text NOT NULL REFERENCES business.campaign,
    line integer NOT NULL,
    at_us bigint NOT NULL,
    state text NOT NULL,
    event text NOT NULL,
    note text NOT NULL,
    PRIMARY KEY (campaign, line)
);

-- ---------------------------------------------------------------------------------------- rewards

-- One payment of a campaign; reward is a pure function of key, which is its identity out there.
CREATE TABLE business.reward (
    reward text PRIMARY KEY,
    key text NOT NULL UNIQUE,
    campaign text NOT NULL,
    location text NOT NULL,
    asset text NOT NULL,
    units numeric(38, 0) NOT NULL CHECK (units > 0),
    from_us bigint NOT NULL,
    to_us bigint NOT NULL,
    transaction_id text NOT NULL,
    is_final boolean NOT NULL,
    seen_us bigint NOT NULL,
    state text NOT NULL CHECK (
        state IN (
            'observed', 'vanished', 'confirmed', 'transferring', 'transferred',
            'allocating', 'allocated', 'credited', 'done'
        )
    ),
    pool text NOT NULL,
    transfer text NOT NULL,
    dust_units numeric(38, 0) NOT NULL CHECK (dust_units >= 0),
    fee_units numeric(38, 0) NOT NULL CHECK (fee_units >= 0),
    users_units numeric(38, 0) NOT NULL CHECK (users_units >= 0),
    credited integer NOT NULL CHECK (credited >= 0),
    credited_units numeric(38, 0) NOT NULL,
    CHECK (from_us < to_us),
    CHECK (dust_units + fee_units + users_units <= units),
    CHECK (credited_units BETWEEN 0 AND users_units),
    CHECK (is_final OR state IN ('observed', 'vanished'))
) WITH (fillfactor = 50);
CREATE INDEX reward_campaign ON business.reward (campaign, from_us);

-- What is booked of a payment is never told otherwise, and what is final never goes away.
CREATE FUNCTION business.keep_reward() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        RAISE EXCEPTION 'reward % is never removed', OLD.reward
            USING ERRCODE = 'restrict_violation';
    END IF;
    IF OLD.is_final AND (NEW.reward, NEW.key, NEW.campaign, NEW.location, NEW.asset, NEW.units,
            NEW.from_us, NEW.to_us, NEW.transaction_id, NEW.is_final)
        IS DISTINCT FROM (OLD.reward, OLD.key, OLD.campaign, OLD.location, OLD.asset, OLD.units,
            OLD.from_us, OLD.to_us, OLD.transaction_id, OLD.is_final) THEN
        RAISE EXCEPTION 'reward % is final: its payment is not edited', OLD.reward
            USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER keep BEFORE UPDATE OR DELETE ON business.reward
    FOR EACH ROW EXECUTE FUNCTION business.keep_reward();

-- The story of each reward; only ever added to.
CREATE TABLE business.reward_line (
    reward text NOT NULL REFERENCES business.reward,
    line integer NOT NULL,
    at_us bigint NOT NULL,
    state text NOT NULL,
    event text NOT NULL,
    key text NOT NULL,
    note text NOT NULL,
    PRIMARY KEY (reward, line)
);

-- What a person has to look at; closed_us is 0 while it is open.
CREATE TABLE business.reward_incident (
    reward text NOT NULL REFERENCES business.reward,
    number integer NOT NULL,
    trouble text NOT NULL CHECK (
        trouble IN ('contradicted', 'transfer_refused', 'no_pool', 'no_weight')
    ),
    opened_us bigint NOT NULL,
    note text NOT NULL,
    closed_us bigint NOT NULL,
    PRIMARY KEY (reward, number)
);
CREATE UNIQUE INDEX reward_incident_open ON business.reward_incident (reward, trouble)
    WHERE closed_us = 0;

-- Who gets what of a reward. body is the canonical text; digest, its SHA-256, stands in the books.
CREATE TABLE business.reward_allocation (
    reward text PRIMARY KEY REFERENCES business.reward,
    body text NOT NULL,
    digest text NOT NULL CHECK (digest = encode(sha256(convert_to(body, 'UTF8')), 'hex'))
);

-- weight is share units times microseconds and may have more digits than an amount.
CREATE TABLE business.reward_part (
    reward text NOT NULL REFERENCES business.reward_allocation,
    part integer NOT NULL CHECK (part >= 0),
    order_id text NOT NULL,
    user_id text NOT NULL,
    weight numeric NOT NULL CHECK (weight > 0),
    units numeric(38, 0) NOT NULL CHECK (units >= 0),
    PRIMARY KEY (reward, part),
    UNIQUE (reward, order_id)
);
CREATE INDEX reward_part_user ON business.reward_part (user_id, reward);

-- ------------------------------------------------------------------------------ history of shares

-- Every change of an order's shares in ledger time, as read from the ledger's log.
CREATE TABLE business.share_change (
    seq bigint NOT NULL CHECK (seq > 0),
    at_us bigint NOT NULL,
    pool text NOT NULL,
    epoch integer NOT NULL,
    order_id text NOT NULL,
    units numeric(38, 0) NOT NULL CHECK (units <> 0),
    PRIMARY KEY (seq, pool, epoch, order_id)
);
CREATE INDEX share_change_pool ON business.share_change (pool, at_us, seq);

-- Up to where the log is applied, and the ledger time there: all that is missing is later.
CREATE TABLE business.share_cursor (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq bigint NOT NULL,
    at_us bigint NOT NULL
) WITH (fillfactor = 50);
INSERT INTO business.share_cursor (seq, at_us) VALUES (0, 0);

-- -------------------------------------------------------------------------------------- protection

-- These are under the same protection as the ledger: nobody edits, whatever role he has.
CREATE FUNCTION business.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'business.% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'restrict_violation';
END $$;

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[
        'campaign_line', 'reward_line', 'reward_allocation', 'reward_part', 'share_change'
    ] LOOP
        EXECUTE format('REVOKE UPDATE, DELETE ON business.%I FROM poolmaker_app', name);
        EXECUTE format('CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE'
            ' ON business.%I FOR EACH STATEMENT EXECUTE FUNCTION business.refuse_change()', name);
        EXECUTE format('ALTER TABLE business.%I ENABLE ALWAYS TRIGGER append_only', name);
    END LOOP;
END $$;
REVOKE DELETE ON business.campaign, business.reward, business.reward_incident,
    business.share_cursor FROM poolmaker_app;
REVOKE INSERT ON business.share_cursor FROM poolmaker_app;
