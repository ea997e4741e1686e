"""Token usage, reservations, summaries, reasoning, personal keys, buttons of answers."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "spending",
        sa.Column("account", sa.String(length=40), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("requests", sa.Integer(), nullable=False),
        sa.Column("exhausted", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.PrimaryKeyConstraint("account", "model", "kind", "day", name=op.f("pk_spending")),
    )
    op.create_table(
        "allowances",
        sa.Column("subject", sa.String(length=300), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("messages", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("subject", "day", name=op.f("pk_allowances")),
    )
    op.create_table(
        "requests",
        sa.Column("id", ID, nullable=False),
        sa.Column("account", sa.String(length=40), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_requests")),
    )
    op.create_table(
        "summaries",
        sa.Column("conversation", ID, nullable=False),
        sa.Column("upto", ID, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("model", sa.String(length=200), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.ForeignKeyConstraint(
            ["conversation"],
            ["conversations.id"],
            name=op.f("fk_summaries_conversation"),
        ),
        sa.PrimaryKeyConstraint("conversation", name=op.f("pk_summaries")),
    )
    op.create_table(
        "thoughts",
        sa.Column("turn", ID, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["turn"], ["turns.id"], name=op.f("fk_thoughts_turn")),
        sa.PrimaryKeyConstraint("turn", name=op.f("pk_thoughts")),
    )
    op.create_table(
        "keys",
        sa.Column("person", sa.String(length=200), nullable=False),
        sa.Column("secret", sa.Text(), nullable=False),
        sa.Column("created", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("person", name=op.f("pk_keys")),
    )
    op.add_column("turns", sa.Column("buttons", sa.Text(), nullable=True))
