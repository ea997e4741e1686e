"""Which answers belong to the same question."""

import sqlalchemy as sa
from alembic import op

from core.store.migrations.columns import ID

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    op.add_column("messages", sa.Column("variant_of", ID))
    is_variant = sa.text("variant_of IS NOT NULL")
    op.create_index(
        "ix_messages_variant_of",
        "messages",
        ["variant_of"],
        sqlite_where=is_variant,
        postgresql_where=is_variant,
    )
