"""For which turn a request to the model service is running."""

from alembic import op
from sqlalchemy import Column

from core.store.migrations.columns import ID

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    op.add_column("reservations", Column("turn_id", ID, nullable=True))
