"""Which tokens show who their user is after an upgrade: those of before wallets were bound."""

from __future__ import annotations

import asyncpg

from poolmaker.infra.migrations.runner import migrate
from poolmaker.infra.postgres.dsn import connect_arguments
from tests.support.clusters import Workshop

BEFORE, BOUND = "0018", "0021"
OLD_TOKEN = """
INSERT INTO api.token (token_hash, role, name, user_id, granted_us) VALUES ($1, $2, 'n', $3, 1)
"""
NEW_TOKEN = """
INSERT INTO api.token
    (token_hash, role, name, user_id, granted_us, token_id, scopes, expires_us, granted_by)
VALUES ($1, 'user', 'n', 'us_old', 2, 'tk_01KSR49200PDTT47DKEGJRR4ZE', '{withdraw}', 9, 'operator')
"""
CLAIM = """
INSERT INTO business.wallet_claim (trace, user_id, mixin_id, claimed_us, until_us)
VALUES ('t', 'us_old', 'somebody', 5, 99)
"""


async def test_only_a_users_token_of_before_binds_a_wallet_and_no_claim_of_before_runs_on(
    database_workshop: Workshop,
) -> None:
    cluster = database_workshop.cluster
    name = database_workshop.make_old_database(BEFORE)
    admin = await asyncpg.connect(**connect_arguments(cluster.admin_dsn(name)))
    try:
        await admin.execute("INSERT INTO business.app_user VALUES ('us_old', 'old', 1)")
        await admin.execute(OLD_TOKEN, b"u" * 32, "user", "us_old")
        await admin.execute(OLD_TOKEN, b"o" * 32, "operator", None)
        await migrate(cluster, name, BOUND)
        await admin.execute(NEW_TOKEN, b"n" * 32)
        await admin.execute(CLAIM)
        await migrate(cluster, name)
        binding = await admin.fetch("SELECT token_hash FROM api.token WHERE binds_wallet")
        assert [row["token_hash"] for row in binding] == [b"u" * 32]
        ends = "SELECT claimed_us, until_us FROM business.wallet_claim"
        assert [tuple(row) for row in await admin.fetch(ends)] == [(5, 5)]
    finally:
        await admin.close()
        database_workshop.drop_database(name)
