"""Which turns do not count towards a person's messages per minute."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.add_column("turns", sa.Column("is_exempt", sa.Boolean(), nullable=False, server_default=sa.false()))
