"""Whether a personal key paid for an answer."""

import sqlalchemy as sa
from alembic import op

from core.store.migrations.columns import required

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column("turns", required("own_key", sa.Boolean, server_default=sa.text("false")))
