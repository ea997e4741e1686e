"""An index that finds old summaries."""

from alembic import op

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    op.create_index("ix_summaries_created", "summaries", ["created_at"])
