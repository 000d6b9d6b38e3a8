"""Help for tests that need a database.

Fixtures (in ``tests/conftest.py``); all of them share ONE embedded PostgreSQL for the whole run,
started by the first test that asks for it and erased at the end:

``cluster``         the running ``poolmaker.infra.postgres.cluster.Cluster``; never stop it
``migrated_dsn``    ``migrated_dsn(DatabaseRole.WRITER) -> str``: this test's own fresh, migrated
                    database, as that role; made in some 15 ms and dropped afterwards
``database``        an open ``Database`` on that same database, as ``DatabaseRole.APP``
``open_database``   ``await open_database(DatabaseRole.WRITER) -> Database``: more of them, as any
                    role; closed afterwards

The server runs with ``synchronous_commit=off`` and fsync on. Tests that kill servers
start their own with ``tests.support.servers.start``, in a ``tests.support.folders.open_folder``.
"""
