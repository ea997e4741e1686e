"""Rename tables and columns to the terms of the code; give every meaning a column of its own.

Statements that rename are instant on both databases: no table is copied.
"""

import sqlalchemy as sa
from alembic import op

from core.store.migrations.columns import ID, required

revision = "0006"
down_revision = "0005"


TABLES = {
    "parts": "answer_parts",
    "choices": "preferences",
    "state": "key_values",
    "waits": "rate_limits",
    "spending": "token_usage",
    "allowances": "daily_usage",
    "requests": "reservations",
    "thoughts": "reasoning",
    "keys": "personal_keys",
    "documents": "memory_entries",
    "memories": "memory_chunks",
}
COLUMNS = {
    "conversations": {"seq": "last_seq", "since": "history_after", "told_cut": "truncation_notified"},
    "messages": {
        "conversation": "conversation_id",
        "turn": "turn_id",
        "replaced": "is_excluded",
        "created": "created_at",
    },
    "turns": {
        "conversation": "conversation_id",
        "key": "event_key",
        "incoming": "incoming_json",
        "lease_until": "lease_expires_at",
        "cancel": "cancel_requested",
        "person": "person_key",
        "buttons": "buttons_json",
        "own_key": "used_personal_key",
        "created": "created_at",
        "finished": "finished_at",
    },
    "answer_parts": {"turn": "turn_id", "message": "message_id"},
    "preferences": {"chosen_by": "set_by"},
    "grants": {"created": "created_at"},
    "key_values": {"name": "key"},
    "leases": {"until": "expires_at"},
    "rate_limits": {"account": "account_key", "until": "blocked_until"},
    "token_usage": {"account": "key_id", "requests": "request_count", "exhausted": "is_exhausted"},
    "daily_usage": {"messages": "questions"},
    "reservations": {"account": "key_id", "tokens": "expected_tokens", "created": "created_at"},
    "summaries": {"conversation": "conversation_id", "upto": "up_to_message", "created": "created_at"},
    "reasoning": {"turn": "turn_id"},
    "personal_keys": {"person": "person_key", "secret": "encrypted_key", "created": "created_at"},
    "memory_entries": {"scope": "conversation_key", "pieces": "chunk_count", "created": "created_at"},
    "memory_chunks": {"scope": "conversation_key", "document": "entry_id", "created": "created_at"},
}
EVENT_JSON = {
    '"private":': '"is_private":',
    '"manages":': '"is_manager":',
    '"message":': '"message_id":',
    '"ticket":': '"interaction_token":',
    '"ref":': '"file_id":',
    '"kind":"file",': '"kind":"file","is_document":true,',
    # "batch":"album" -> "batch":{"id":"album"}; "batch":"" -> "batch":{"id":null}
    '"batch":"': '"batch":{"id":"',
    '","pieces":': '"},"pieces":',
    '"batch":{"id":""}': '"batch":{"id":null}',
}
BUTTON_JSON = {'"danger":': '"is_destructive":'}
MODEL_JSON = {
    '"context":': '"context_window":',
    '"reasons":': '"has_reasoning":',
    '"vision":': '"has_vision":',
    '"embeds":': '"is_embedding_model":',
}
RECALL_MODES = {"given": "notes_and_files", "on": "with_messages", "off": "off"}


def _table(name: str, *columns: str) -> sa.TableClause:
    return sa.table(name, *map(sa.column, columns))


conversations = _table("conversations", "key", "recall_mode", "recall_after")
turns = _table(
    "turns",
    "state",
    "incoming_json",
    "buttons_json",
    "lease_expires_at",
    "not_before",
    "note",
    "refusal",
    "model",
    "finished_at",
)
answer_parts = _table("answer_parts", "state", "message_id")
preferences = _table("preferences", "scope", "name", "value")
key_values = _table("key_values", "key", "value")
memory_chunks = _table("memory_chunks", "kind", "position", "message_id")


def upgrade() -> None:
    for index in ("ix_memories_scope", "ix_memories_document"):
        op.drop_index(index, "memories")
    for old, new in TABLES.items():
        op.rename_table(old, new)
    for table, columns in COLUMNS.items():
        for old, new in columns.items():
            op.alter_column(table, old, new_column_name=new)
    _split_turn_columns()
    _name_part_states()
    _move_recall_preferences()
    _split_chunk_position()
    op.execute(
        sa.update(turns).values(
            incoming_json=_replace(turns.c.incoming_json, EVENT_JSON),
            buttons_json=_replace(turns.c.buttons_json, BUTTON_JSON),
        )
    )
    catalogue = sa.update(key_values).where(key_values.c.key == "catalogue")
    op.execute(catalogue.values(value=_replace(key_values.c.value, MODEL_JSON)))


def _split_turn_columns() -> None:
    """`note` held a refusal code or the text under an answer; an answered turn has a model."""
    op.add_column("turns", sa.Column("refusal", sa.String(16)))
    is_unanswered = turns.c.model.is_(None)
    for note, refusal in {"full": "queue_full", "fast": "rate_limited"}.items():
        op.execute(sa.update(turns).where(turns.c.note == note, is_unanswered).values(refusal=refusal, note=None))
    op.execute(sa.update(turns).where(turns.c.note == "joined", is_unanswered).values(state="merged", note=None))
    # `lease_until` of a turn that nobody had claimed yet was the time to wait for the rest of its batch.
    op.add_column("turns", required("not_before", sa.Float, server_default="0"))
    is_waiting = (turns.c.state == "queued", turns.c.finished_at.is_(None))
    op.execute(sa.update(turns).where(*is_waiting).values(not_before=turns.c.lease_expires_at, lease_expires_at=0))


def _name_part_states() -> None:
    op.execute(sa.update(answer_parts).where(answer_parts.c.state == "dead").values(state="rejected"))
    is_unreachable = answer_parts.c.message_id == ""
    op.execute(sa.update(answer_parts).where(is_unreachable).values(state="unreachable", message_id=None))


def _move_recall_preferences() -> None:
    op.add_column("conversations", sa.Column("recall_mode", sa.String(16)))
    op.add_column("conversations", required("recall_after", ID, server_default="0"))
    of_conversation = preferences.c.scope == sa.literal("memory:", sa.String) + conversations.c.key
    mode = sa.select(sa.case(RECALL_MODES, value=preferences.c.value))
    after = sa.select(sa.cast(preferences.c.value, sa.BigInteger))
    mode = mode.where(of_conversation, preferences.c.name == "recall")
    after = after.where(of_conversation, preferences.c.name == "recall since")
    op.execute(
        sa.update(conversations).values(
            recall_mode=mode.scalar_subquery(), recall_after=sa.func.coalesce(after.scalar_subquery(), 0)
        )
    )
    op.execute(sa.delete(preferences).where(preferences.c.name.in_(["recall", "recall since"])))


def _split_chunk_position() -> None:
    """`position` held the ID of a message, or an index within a file."""
    op.add_column("memory_chunks", sa.Column("message_id", ID))
    is_message = memory_chunks.c.kind == "message"
    op.execute(sa.update(memory_chunks).where(is_message).values(message_id=memory_chunks.c.position, position=0))
    op.execute(sa.update(memory_chunks).where(memory_chunks.c.kind == "piece").values(kind="file"))
    op.create_index("ix_memory_chunks_conversation", "memory_chunks", ["conversation_key", "kind", "message_id"])
    op.create_index("ix_memory_chunks_entry", "memory_chunks", ["entry_id"])


def _replace(encoded: sa.ColumnElement[str], replacements: dict[str, str]) -> sa.ColumnElement[str]:
    """Rewrite compact JSON. No text of a person matches: quotation marks within a string are escaped."""
    for old, new in replacements.items():
        encoded = sa.func.replace(encoded, old, new)
    return encoded
