"""Which model wrote an answer, also for those whose turn is deleted, and those of an imported file."""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    op.add_column("messages", sa.Column("model", sa.Text(), nullable=True))
    op.execute(
        "UPDATE messages SET model = (SELECT model FROM turns WHERE turns.id = messages.turn_id) "
        "WHERE role = 'assistant' AND turn_id > 0"
    )
