"""The first schema."""

from typing import Any

from alembic import op
from sqlalchemy import Boolean, Column, Float, ForeignKey, Integer, String, Text, UniqueConstraint, text

from core.store.migrations.columns import ID, required

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "choices",
        Column("scope", String(300), primary_key=True),
        Column("name", String(40), primary_key=True),
        required("value", Text),
        required("chosen_by", String(200)),
    )
    op.create_table(
        "conversations",
        Column("id", ID, primary_key=True),
        required("key", String(400)),
        required("seq", Integer, server_default="0"),
        required("since", ID, server_default="0"),
        required("told_cut", Boolean, server_default=text("false")),
        UniqueConstraint("key"),
    )
    op.create_table(
        "grants",
        Column("subject", String(200), primary_key=True),
        required("role", String(16)),
        required("name", String(200)),
        required("created", Float),
    )
    op.create_table(
        "state",
        Column("name", String(200), primary_key=True),
        required("value", Text),
    )
    op.create_table(
        "messages",
        Column("id", ID, primary_key=True),
        required("conversation", ID, ForeignKey("conversations.id")),
        required("turn", ID),
        required("role", String(16)),
        required("text", Text),
        required("replaced", Boolean, server_default=text("false")),
        required("created", Float),
    )
    op.create_index("ix_messages_conversation", "messages", ["conversation", "id"])
    op.create_index("ix_messages_turn", "messages", ["turn"])
    op.create_table(
        "turns",
        Column("id", ID, primary_key=True),
        required("conversation", ID, ForeignKey("conversations.id")),
        Column("seq", Integer),
        required("key", String(200)),
        required("state", String(16)),
        required("incoming", Text),
        Column("owner", String(64)),
        required("lease_until", Float, server_default="0"),
        required("attempt", Integer, server_default="0"),
        required("cancel", Boolean, server_default=text("false")),
        required("person", String(200)),
        Column("model", String(200)),
        Column("note", Text),
        required("prompt_tokens", Integer, server_default="0"),
        required("completion_tokens", Integer, server_default="0"),
        required("created", Float),
        Column("finished", Float),
        UniqueConstraint("key"),
    )
    op.create_index("ix_turns_conversation", "turns", ["conversation", "id"])
    unfinished = text("finished IS NULL")
    where_unfinished: dict[str, Any] = {"sqlite_where": unfinished, "postgresql_where": unfinished}
    op.create_index("ix_turns_next", "turns", ["conversation", "seq"], **where_unfinished)
    op.create_index("ix_turns_open", "turns", ["id"], **where_unfinished)
    op.create_index("ix_turns_person", "turns", ["person", "created"])
    op.create_table(
        "parts",
        Column("turn", ID, ForeignKey("turns.id"), primary_key=True),
        Column("position", Integer, primary_key=True),
        required("state", String(16)),
        Column("message", String(200)),
        required("digest", String(64)),
    )
