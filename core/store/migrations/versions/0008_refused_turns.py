"""Turns of refused events belong to no conversation; every turn names its chat."""

import sqlalchemy as sa
from alembic import op

from core.store.migrations.columns import required

revision = "0008"
down_revision = "0007"

REFERRING_TABLES = ("answer_parts", "reasoning")


def upgrade() -> None:
    op.add_column("turns", required("chat_key", sa.String(300), server_default=""))
    if op.get_bind().dialect.name != "sqlite":
        op.alter_column("turns", "conversation_id", nullable=True)
        return
    # SQLite copies the table and drops the old one, which no row may refer to meanwhile.
    for table in REFERRING_TABLES:
        op.execute(f"CREATE TEMPORARY TABLE saved_{table} AS SELECT * FROM {table}")  # noqa: S608 (a constant)
        op.execute(f"DELETE FROM {table}")  # noqa: S608
    with op.batch_alter_table("turns") as batch:
        batch.alter_column("conversation_id", nullable=True)
    for table in REFERRING_TABLES:
        op.execute(f"INSERT INTO {table} SELECT * FROM saved_{table}")  # noqa: S608
        op.execute(f"DROP TABLE saved_{table}")
