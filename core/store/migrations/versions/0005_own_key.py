"""Whether a personal key paid for an answer."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.add_column(
        "turns",
        sa.Column("own_key", sa.Boolean(), server_default=sa.text("false"), nullable=False),
    )
