"""The first schema."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from core.store.migrations.columns import ID, required

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "choices",
        sa.Column("scope", sa.String(300), primary_key=True),
        sa.Column("name", sa.String(40), primary_key=True),
        required("value", sa.Text),
        required("chosen_by", sa.String(200)),
    )
    op.create_table(
        "conversations",
        sa.Column("id", ID, primary_key=True),
        required("key", sa.String(400)),
        required("seq", sa.Integer, server_default="0"),
        required("since", ID, server_default="0"),
        required("told_cut", sa.Boolean, server_default=sa.text("false")),
        sa.UniqueConstraint("key"),
    )
    op.create_table(
        "grants",
        sa.Column("subject", sa.String(200), primary_key=True),
        required("role", sa.String(16)),
        required("name", sa.String(200)),
        required("created", sa.Float),
    )
    op.create_table(
        "state",
        sa.Column("name", sa.String(200), primary_key=True),
        required("value", sa.Text),
    )
    op.create_table(
        "messages",
        sa.Column("id", ID, primary_key=True),
        required("conversation", ID, sa.ForeignKey("conversations.id")),
        required("turn", ID),
        required("role", sa.String(16)),
        required("text", sa.Text),
        required("replaced", sa.Boolean, server_default=sa.text("false")),
        required("created", sa.Float),
    )
    op.create_index("ix_messages_conversation", "messages", ["conversation", "id"])
    op.create_index("ix_messages_turn", "messages", ["turn"])
    op.create_table(
        "turns",
        sa.Column("id", ID, primary_key=True),
        required("conversation", ID, sa.ForeignKey("conversations.id")),
        sa.Column("seq", sa.Integer),
        required("key", sa.String(200)),
        required("state", sa.String(16)),
        required("incoming", sa.Text),
        sa.Column("owner", sa.String(64)),
        required("lease_until", sa.Float, server_default="0"),
        required("attempt", sa.Integer, server_default="0"),
        required("cancel", sa.Boolean, server_default=sa.text("false")),
        required("person", sa.String(200)),
        sa.Column("model", sa.String(200)),
        sa.Column("note", sa.Text),
        required("prompt_tokens", sa.Integer, server_default="0"),
        required("completion_tokens", sa.Integer, server_default="0"),
        required("created", sa.Float),
        sa.Column("finished", sa.Float),
        sa.UniqueConstraint("key"),
    )
    op.create_index("ix_turns_conversation", "turns", ["conversation", "id"])
    unfinished = sa.text("finished IS NULL")
    where_unfinished: dict[str, Any] = {"sqlite_where": unfinished, "postgresql_where": unfinished}
    op.create_index("ix_turns_next", "turns", ["conversation", "seq"], **where_unfinished)
    op.create_index("ix_turns_open", "turns", ["id"], **where_unfinished)
    op.create_index("ix_turns_person", "turns", ["person", "created"])
    op.create_table(
        "parts",
        sa.Column("turn", ID, sa.ForeignKey("turns.id"), primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        required("state", sa.String(16)),
        sa.Column("message", sa.String(200)),
        required("digest", sa.String(64)),
    )
