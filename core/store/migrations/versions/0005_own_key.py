"""Whether a personal key paid for an answer."""

from alembic import op
from sqlalchemy import Boolean, text

from core.store.migrations.columns import required

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("turns", required("own_key", Boolean, server_default=text("false")))
