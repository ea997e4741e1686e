"""Indexes that find what is old enough to be deleted."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    is_finished = sa.text("finished_at IS NOT NULL")
    op.create_index(
        "ix_turns_finished", "turns", ["finished_at"], sqlite_where=is_finished, postgresql_where=is_finished
    )
    for table in ("daily_usage", "token_usage"):
        op.create_index(f"ix_{table}_day", table, ["day"])
