"""How long a platform asked to wait: limits the wait when the clock is set back."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("rate_limits", sa.Column("requested_seconds", sa.Float(), nullable=True))
