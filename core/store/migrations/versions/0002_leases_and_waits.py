"""Leases, and the waits that platforms ask for."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "waits",
        sa.Column("account", sa.String(length=200), nullable=False),
        sa.Column("chat", sa.String(length=200), nullable=False),
        sa.Column("until", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("account", "chat", name=op.f("pk_waits")),
    )
    unfinished = sa.text("finished IS NULL")
    op.create_index(
        "ix_turns_person_open",
        "turns",
        ["person"],
        sqlite_where=unfinished,
        postgresql_where=unfinished,
    )
