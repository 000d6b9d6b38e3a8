-- Schemas, and what each database role may do in them by default.
-- The four roles belong to the whole server and are made by the supervisor before any revision runs:
--   poolmaker_owner   owns every object, used only here
--   poolmaker_writer  the ledger's writer: executes the ledger's functions, reads
--   poolmaker_app     everything else that writes
--   poolmaker_reader  reads
-- This file is run as poolmaker_owner. Later revisions need a GRANT only where they differ from these defaults.

CREATE SCHEMA IF NOT EXISTS infra;
CREATE SCHEMA ledger;
CREATE SCHEMA bus;
CREATE SCHEMA market;
CREATE SCHEMA business;
CREATE SCHEMA views;

GRANT USAGE ON SCHEMA infra, ledger, bus, market, business, views
    TO poolmaker_writer, poolmaker_app, poolmaker_reader;

-- Nobody executes a function because he happens to be connected.
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- Everybody with a role may read everything: the books are open to the platform's own processes.
ALTER DEFAULT PRIVILEGES
    GRANT SELECT ON TABLES TO poolmaker_writer, poolmaker_app, poolmaker_reader;

-- Outside the ledger the application writes rows.
ALTER DEFAULT PRIVILEGES IN SCHEMA infra, bus, market, business, views
    GRANT INSERT, UPDATE, DELETE ON TABLES TO poolmaker_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA infra, bus, market, business, views
    GRANT USAGE ON SEQUENCES TO poolmaker_app;
ALTER DEFAULT PRIVILEGES IN SCHEMA infra, bus, market, business, views
    GRANT EXECUTE ON FUNCTIONS TO poolmaker_app;

-- In the ledger nobody writes rows; the writer calls its functions. What the application may call
-- or insert there (its own command rows) is granted by the ledger's own revision, by name.
ALTER DEFAULT PRIVILEGES IN SCHEMA ledger
    GRANT EXECUTE ON FUNCTIONS TO poolmaker_writer;

-- The table of revisions was made before these defaults.
REVOKE ALL ON TABLE infra.schema_revision FROM PUBLIC;
GRANT SELECT ON TABLE infra.schema_revision TO poolmaker_writer, poolmaker_app, poolmaker_reader;
