"""Token usage, reservations, summaries, reasoning, personal keys, buttons of answers."""

import sqlalchemy as sa
from alembic import op

from core.store.migrations.columns import ID, required

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "spending",
        sa.Column("account", sa.String(40), primary_key=True),
        sa.Column("model", sa.String(200), primary_key=True),
        sa.Column("kind", sa.String(16), primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        required("tokens", sa.BigInteger),
        required("requests", sa.Integer),
        required("exhausted", sa.Boolean, server_default=sa.text("false")),
    )
    op.create_table(
        "allowances",
        sa.Column("subject", sa.String(300), primary_key=True),
        sa.Column("day", sa.String(10), primary_key=True),
        required("tokens", sa.BigInteger),
        required("messages", sa.Integer),
    )
    op.create_table(
        "requests",
        sa.Column("id", ID, primary_key=True),
        required("account", sa.String(40)),
        required("model", sa.String(200)),
        required("kind", sa.String(16)),
        required("day", sa.String(10)),
        required("tokens", sa.BigInteger),
        required("created", sa.Float),
    )
    op.create_table(
        "summaries",
        sa.Column("conversation", ID, sa.ForeignKey("conversations.id"), primary_key=True),
        required("upto", ID),
        required("text", sa.Text),
        required("model", sa.String(200)),
        required("created", sa.Float),
    )
    op.create_table(
        "thoughts",
        sa.Column("turn", ID, sa.ForeignKey("turns.id"), primary_key=True),
        required("text", sa.Text),
    )
    op.create_table(
        "keys",
        sa.Column("person", sa.String(200), primary_key=True),
        required("secret", sa.Text),
        required("created", sa.Float),
    )
    op.add_column("turns", sa.Column("buttons", sa.Text))
