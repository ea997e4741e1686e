"""Rename tables and columns to the terms of the code; give every meaning a column of its own.

Statements that rename are instant on both databases: no table is copied.
"""

from alembic import op
from sqlalchemy import Column, ColumnElement, Float, String, column, func, table, update

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
STATEMENTS = (
    # `note` held a refusal code or the text under an answer; an answered turn has a model.
    "UPDATE turns SET refusal = 'queue_full', note = NULL WHERE note = 'full' AND model IS NULL",
    "UPDATE turns SET refusal = 'rate_limited', note = NULL WHERE note = 'fast' AND model IS NULL",
    "UPDATE turns SET state = 'merged', note = NULL WHERE note = 'joined' AND model IS NULL",
    # `lease_until` of a turn that nobody had claimed yet was the time to wait for the rest of its batch.
    """
    UPDATE turns SET not_before = lease_expires_at, lease_expires_at = 0
    WHERE state = 'queued' AND finished_at IS NULL
    """,
    "UPDATE answer_parts SET state = 'rejected' WHERE state = 'dead'",
    "UPDATE answer_parts SET state = 'unreachable', message_id = NULL WHERE message_id = ''",
    # What a conversation recalls was a preference of the scope `memory:CONVERSATION`.
    """
    UPDATE conversations SET
        recall_mode = (
            SELECT CASE value
                WHEN 'given' THEN 'notes_and_files' WHEN 'on' THEN 'with_messages' WHEN 'off' THEN 'off'
            END
            FROM preferences WHERE scope = 'memory:' || conversations.key AND name = 'recall'
        ),
        recall_after = coalesce(
            (
                SELECT CAST(value AS BIGINT)
                FROM preferences WHERE scope = 'memory:' || conversations.key AND name = 'recall since'
            ),
            0
        )
    """,
    "DELETE FROM preferences WHERE name IN ('recall', 'recall since')",
    # `position` held the ID of a message, or an index within a file.
    "UPDATE memory_chunks SET message_id = position, position = 0 WHERE kind = 'message'",
    "UPDATE memory_chunks SET kind = 'file' WHERE kind = 'piece'",
)

turns = table("turns", column("incoming_json"), column("buttons_json"))
key_values = table("key_values", column("key"), column("value"))


def upgrade() -> None:
    for index in ("ix_memories_scope", "ix_memories_document"):
        op.drop_index(index, "memories")
    for old, new in TABLES.items():
        op.rename_table(old, new)
    for name, columns in COLUMNS.items():
        for old, new in columns.items():
            op.alter_column(name, old, new_column_name=new)
    op.add_column("turns", Column("refusal", String(16)))
    op.add_column("turns", required("not_before", Float, server_default="0"))
    op.add_column("conversations", Column("recall_mode", String(16)))
    op.add_column("conversations", required("recall_after", ID, server_default="0"))
    op.add_column("memory_chunks", Column("message_id", ID))
    for statement in STATEMENTS:
        op.execute(statement)
    op.create_index("ix_memory_chunks_conversation", "memory_chunks", ["conversation_key", "kind", "message_id"])
    op.create_index("ix_memory_chunks_entry", "memory_chunks", ["entry_id"])
    op.execute(
        update(turns).values(
            incoming_json=_replace(turns.c.incoming_json, EVENT_JSON),
            buttons_json=_replace(turns.c.buttons_json, BUTTON_JSON),
        )
    )
    catalogue = update(key_values).where(key_values.c.key == "catalogue")
    op.execute(catalogue.values(value=_replace(key_values.c.value, MODEL_JSON)))


def _replace(encoded: ColumnElement[str], replacements: dict[str, str]) -> ColumnElement[str]:
    """Rewrite compact JSON. No text of a person matches: quotation marks within a string are escaped."""
    for old, new in replacements.items():
        encoded = func.replace(encoded, old, new)
    return encoded
