"""Who set a preference for others or decided on a request, so that their name can be erased."""

from alembic import op
from sqlalchemy import Column, String

from core.store.migrations.columns import required

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    op.add_column("preferences", required("set_by_key", String(200), server_default=""))
    op.add_column("access_requests", Column("decided_by_key", String(200), nullable=True))
