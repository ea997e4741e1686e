"""Leases, and the waits that platforms ask for."""

import sqlalchemy as sa
from alembic import op

from core.store.migrations.columns import required

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.String(200), primary_key=True),
        required("owner", sa.String(64)),
        required("until", sa.Float),
    )
    op.create_table(
        "waits",
        sa.Column("account", sa.String(200), primary_key=True),
        sa.Column("chat", sa.String(200), primary_key=True),
        required("until", sa.Float),
    )
    unfinished = sa.text("finished IS NULL")
    op.create_index("ix_turns_person_open", "turns", ["person"], sqlite_where=unfinished, postgresql_where=unfinished)
