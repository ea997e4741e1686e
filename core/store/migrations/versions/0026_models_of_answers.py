"""Which model wrote an answer, also for those whose turn is deleted, and those of an imported file.

For older answers, only the turn says it, as long as that is stored: to copy it to all of them would keep the older
processes that are still running from storing answers meanwhile.
"""

import sqlalchemy as sa
from alembic import op

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    op.add_column("messages", sa.Column("model", sa.Text(), nullable=True))
