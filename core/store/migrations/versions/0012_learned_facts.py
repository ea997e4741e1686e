"""What services taught about their models, and whether a person knows that a model ignores a preference."""

from alembic import op
from sqlalchemy import Column, Float, String

from core.store.migrations.columns import required

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.create_table(
        "learned_facts",
        Column("service", String(200), primary_key=True),
        Column("model", String(200), primary_key=True),
        Column("kind", String(16), primary_key=True),
        Column("detail", String(100), primary_key=True),
        required("expires_at", Float),
    )
    op.add_column("preferences", required("notified_model", String(200), server_default=""))
