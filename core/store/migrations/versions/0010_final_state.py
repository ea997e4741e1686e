"""The state of a turn after its stored answer is delivered: another process may deliver it."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.add_column("turns", sa.Column("final_state", sa.String(16), nullable=True))
