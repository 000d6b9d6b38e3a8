-- What outside attempts taught about outside: refusals of the chain's nodes.

-- What the node last said to an attempt that it did not take; empty once it took it or said nothing.
ALTER TABLE evm.attempt ADD COLUMN refusal text NOT NULL DEFAULT '';
-- An attempt that moves nothing: it uses the nonce, so that no transfer of that payment can.
ALTER TABLE evm.attempt ADD COLUMN cancels boolean NOT NULL DEFAULT false;

-- What happened to a wallet that nobody here has done.
CREATE TABLE evm.incident (
    id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    chain_id bigint NOT NULL,
    wallet   text   NOT NULL,
    kind     text   NOT NULL,
    note     text   NOT NULL,
    at_us    bigint NOT NULL
);
