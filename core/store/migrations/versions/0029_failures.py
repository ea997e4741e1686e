"""Why a turn failed, beside the note under its answer."""

import sqlalchemy as sa
from alembic import op

revision = "0029"
down_revision = "0028"


def upgrade() -> None:
    op.add_column("turns", sa.Column("failure", sa.Text(), nullable=True))
