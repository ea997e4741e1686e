"""Which pictures a question came with."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    op.add_column("messages", sa.Column("images_json", sa.Text(), nullable=True))
