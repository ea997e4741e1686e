"""Requests of strangers to use the bot."""

from alembic import op
from sqlalchemy import Column, Float, String, Text

from core.store.migrations.columns import required

revision = "0019"
down_revision = "0018"


def upgrade() -> None:
    op.create_table(
        "access_requests",
        Column("subject", String(200), primary_key=True),
        required("name", String(200)),
        required("incoming_json", Text),
        required("created_at", Float),
        Column("announced_at", Float),
        Column("decision", String(16)),
        Column("decided_by", String(200)),
        Column("decided_at", Float),
    )
