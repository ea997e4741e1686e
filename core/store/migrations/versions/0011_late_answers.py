"""The turn of the last /new: answers to earlier questions that are stored later do not enter the new conversation."""

import sqlalchemy as sa
from alembic import op

ID = sa.BigInteger().with_variant(sa.Integer, "sqlite")
revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.add_column("conversations", sa.Column("reset_by_turn", ID, nullable=False, server_default="0"))
