"""Notes and files, and their chunks with vectors."""

import sqlalchemy as sa
from alembic import op

from core.store.migrations.columns import ID, required

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "documents",
        sa.Column("id", ID, primary_key=True),
        required("scope", sa.String(400)),
        required("number", sa.Integer),
        required("kind", sa.String(16)),
        required("name", sa.String(200)),
        required("digest", sa.String(64)),
        required("pieces", sa.Integer),
        required("created", sa.Float),
        sa.UniqueConstraint("scope", "number"),
    )
    op.create_table(
        "memories",
        sa.Column("id", ID, primary_key=True),
        required("scope", sa.String(400)),
        required("kind", sa.String(16)),
        sa.Column("document", ID, sa.ForeignKey("documents.id", ondelete="CASCADE")),
        required("position", ID),
        required("label", sa.String(200)),
        required("text", sa.Text),
        required("model", sa.String(200)),
        required("vector", sa.LargeBinary),
        required("created", sa.Float),
    )
    op.create_index("ix_memories_scope", "memories", ["scope", "kind", "position"])
    op.create_index("ix_memories_document", "memories", ["document"])
