"""How many claims of a turn failed, apart from the number of its claims."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    op.add_column("turns", sa.Column("failed_attempts", sa.Integer(), nullable=False, server_default="0"))
