"""Pauses of models that keep failing, which processes share and operators end."""

from alembic import op
from sqlalchemy import Column, Float, Integer, String

from core.store.migrations.columns import required

revision = "0015"
down_revision = "0014"


def upgrade() -> None:
    op.create_table(
        "model_pauses",
        Column("service", String(200), primary_key=True),
        Column("key_id", String(40), primary_key=True),
        Column("model", String(200), primary_key=True),
        required("failure", String(16)),
        Column("status", Integer),
        required("cause", String(200)),
        required("paused_until", Float),
    )
