"""Names that the runner and alembic's entry share."""

from __future__ import annotations

from typing import Final

VERSION_SCHEMA: Final = "infra"
VERSION_TABLE: Final = "schema_revision"

# Any fixed number does; it only has to differ from other advisory locks in the same database.
MIGRATION_LOCK: Final = 7_006_652_601
