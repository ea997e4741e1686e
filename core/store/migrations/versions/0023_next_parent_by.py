"""Whose next question continues from an earlier answer."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    op.add_column("conversations", sa.Column("next_parent_by", sa.String(200), nullable=True))
