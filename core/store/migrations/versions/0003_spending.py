"""Token usage, reservations, summaries, reasoning, personal keys, buttons of answers."""

from alembic import op
from sqlalchemy import BigInteger, Boolean, Column, Float, ForeignKey, Integer, String, Text, text

from core.store.migrations.columns import ID, required

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "spending",
        Column("account", String(40), primary_key=True),
        Column("model", String(200), primary_key=True),
        Column("kind", String(16), primary_key=True),
        Column("day", String(10), primary_key=True),
        required("tokens", BigInteger),
        required("requests", Integer),
        required("exhausted", Boolean, server_default=text("false")),
    )
    op.create_table(
        "allowances",
        Column("subject", String(300), primary_key=True),
        Column("day", String(10), primary_key=True),
        required("tokens", BigInteger),
        required("messages", Integer),
    )
    op.create_table(
        "requests",
        Column("id", ID, primary_key=True),
        required("account", String(40)),
        required("model", String(200)),
        required("kind", String(16)),
        required("day", String(10)),
        required("tokens", BigInteger),
        required("created", Float),
    )
    op.create_table(
        "summaries",
        Column("conversation", ID, ForeignKey("conversations.id"), primary_key=True),
        required("upto", ID),
        required("text", Text),
        required("model", String(200)),
        required("created", Float),
    )
    op.create_table(
        "thoughts",
        Column("turn", ID, ForeignKey("turns.id"), primary_key=True),
        required("text", Text),
    )
    op.create_table(
        "keys",
        Column("person", String(200), primary_key=True),
        required("secret", Text),
        required("created", Float),
    )
    op.add_column("turns", Column("buttons", Text))
