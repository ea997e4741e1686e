"""When the people in a conversation were last told which model replaces one that is gone."""

from alembic import op

from core.store.migrations.columns import ID, required

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    op.add_column("conversations", required("successor_named_by_turn", ID, server_default="0"))
