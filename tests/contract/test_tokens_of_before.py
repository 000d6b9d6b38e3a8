"""Who is vouched for after an upgrade: whose token two names had agreed to."""

from __future__ import annotations

import asyncpg

from poolmaker.infra.migrations.runner import migrate
from poolmaker.infra.postgres.dsn import connect_arguments
from tests.support.clusters import Workshop

BEFORE = "0028"
TOKEN = """
INSERT INTO api.token
    (token_hash, role, name, user_id, granted_us, token_id, scopes, expires_us, granted_by,
     binds_wallet)
VALUES (sha256($1::text::bytea), $2, $3, $4, 1, $1, '{approve}', 9, $5, false)
"""
APPROVAL = """
INSERT INTO infra.approval
    (id, action, subject, body, digest, state, requested_by, requested_us, approved_by,
     approved_us, used_for)
VALUES ($1, 'token.grant', $2, '{}', sha256('{}'), 'used', 'operator', 1, $3, 2, $4)
"""


async def test_a_token_of_before_is_vouched_for_where_two_names_agreed_to_it(
    database_workshop: Workshop,
) -> None:
    cluster = database_workshop.cluster
    name = database_workshop.make_old_database(BEFORE)
    admin = await asyncpg.connect(**connect_arguments(cluster.admin_dsn(name)))
    try:
        for token_id, role, who, user in (
            ("tk_01AB", "operator", "bo", None),
            ("tk_01AC", "operator", "cy", None),
            ("tk_01AD", "viewer", "vi", None),
            ("tk_01AE", "user", "ada", "us_ada"),
        ):
            await admin.execute(TOKEN, token_id, role, who, user, "operator")
        await admin.execute(APPROVAL, "ap_1", "bo", "treasurer", "co_01AB")
        await admin.execute(APPROVAL, "ap_2", "cy", "operator", "co_01AC")
        await migrate(cluster, name)
        rows = await admin.fetch("SELECT name FROM api.token WHERE vouched")
        assert [row["name"] for row in rows] == ["bo"]
    finally:
        await admin.close()
        database_workshop.drop_database(name)
