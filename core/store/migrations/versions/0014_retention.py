"""Indexes that find what is old enough to be deleted."""

from alembic import op

revision = "0014"
down_revision = "0013"


def upgrade() -> None:
    op.create_index("ix_turns_finished", "turns", ["finished_at"])
    for table in ("daily_usage", "token_usage"):
        op.create_index(f"ix_{table}_day", table, ["day"])
