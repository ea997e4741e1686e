"""Questions that a button under a suggestion asks, also after a restart."""

from alembic import op
from sqlalchemy import Column, Float, String, Text

from core.store.migrations.columns import required

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    op.create_table(
        "suggested_questions",
        Column("token", String(40), primary_key=True),
        required("person_key", String(200)),
        required("text", Text),
        required("created_at", Float),
    )
    op.create_index("ix_suggested_questions_person", "suggested_questions", ["person_key", "created_at"])
    op.create_index("ix_suggested_questions_created", "suggested_questions", ["created_at"])
