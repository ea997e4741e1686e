"""Leases, and the waits that platforms ask for."""

from alembic import op
from sqlalchemy import Column, Float, String, text

from core.store.migrations.columns import required

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "leases",
        Column("name", String(200), primary_key=True),
        required("owner", String(64)),
        required("until", Float),
    )
    op.create_table(
        "waits",
        Column("account", String(200), primary_key=True),
        Column("chat", String(200), primary_key=True),
        required("until", Float),
    )
    unfinished = text("finished IS NULL")
    op.create_index("ix_turns_person_open", "turns", ["person"], sqlite_where=unfinished, postgresql_where=unfinished)
