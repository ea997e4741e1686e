"""Finds the answer of a message whose button was pressed without reading all answers."""

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    op.create_index("ix_answer_parts_message", "answer_parts", ["message_id"])
