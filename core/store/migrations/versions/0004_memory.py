"""Notes and files, and their chunks with vectors."""

from alembic import op
from sqlalchemy import Column, Float, ForeignKey, Integer, LargeBinary, String, Text, UniqueConstraint

from core.store.migrations.columns import ID, required

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.create_table(
        "documents",
        Column("id", ID, primary_key=True),
        required("scope", String(400)),
        required("number", Integer),
        required("kind", String(16)),
        required("name", String(200)),
        required("digest", String(64)),
        required("pieces", Integer),
        required("created", Float),
        UniqueConstraint("scope", "number"),
    )
    op.create_table(
        "memories",
        Column("id", ID, primary_key=True),
        required("scope", String(400)),
        required("kind", String(16)),
        Column("document", ID, ForeignKey("documents.id", ondelete="CASCADE")),
        required("position", ID),
        required("label", String(200)),
        required("text", Text),
        required("model", String(200)),
        required("vector", LargeBinary),
        required("created", Float),
    )
    op.create_index("ix_memories_scope", "memories", ["scope", "kind", "position"])
    op.create_index("ix_memories_document", "memories", ["document"])
