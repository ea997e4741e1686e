"""From which answer a question continues, if that is not the one before it."""

import sqlalchemy as sa
from alembic import op

revision = "0021"
down_revision = "0020"


TURN_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("messages", sa.Column("parent_turn", TURN_ID, nullable=True))
    op.add_column("conversations", sa.Column("next_parent", TURN_ID, nullable=True))
