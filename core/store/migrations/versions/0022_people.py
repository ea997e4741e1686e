"""Whose each message, note and file is, so that a person's data can be exported and erased."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    for table in ("messages", "memory_entries"):
        op.add_column(table, sa.Column("person_key", sa.String(200), nullable=True))
    op.execute(
        "UPDATE messages SET person_key = (SELECT person_key FROM turns WHERE turns.id = messages.turn_id) "
        "WHERE turn_id > 0"
    )
