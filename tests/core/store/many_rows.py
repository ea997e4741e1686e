"""A database with many rows, made quickly: conversations of equal length that were written at the same time."""

from sqlalchemy import Connection, text

from core.store.schema import messages

ROWS = (
    """INSERT INTO conversations (key, last_seq)
    SELECT 'telegram:1:' || i || '::', 1000 FROM {conversations}""",
    """INSERT INTO turns (conversation_id, chat_key, seq, event_key, state, incoming_json, owner, person_key, model,
        created_at, finished_at)
    SELECT (i - 1) % {count} + 1, 'telegram:1:' || ((i - 1) % {count} + 1), (i - 1) / {count} + 1, 'telegram:1:' || i,
        'done', '', 'other', 'telegram:' || ((i - 1) % {count} + 1), 'm', i, i FROM {turns}""",
    """INSERT INTO messages (conversation_id, turn_id, role, text, created_at)
    SELECT ((i - 1) / 2) % {count} + 1, (i - 1) / 2 + 1, CASE i % 2 WHEN 1 THEN 'user' ELSE 'assistant' END,
        'Some sixty characters that are a part of a conversation, number ' || i, i FROM {messages}""",
    """INSERT INTO answer_parts (turn_id, position, state, message_id, digest)
    SELECT i, 0, 'sent', 'm' || i, '' FROM {turns}""",
    "INSERT INTO reasoning (turn_id, text) SELECT i, 'because' FROM {turns} WHERE i % 10 = 0",
    """INSERT INTO summaries (conversation_id, up_to_message, text, model, created_at)
    SELECT i, 1, 'a summary', 'm', i FROM {conversations}""",
    """INSERT INTO daily_usage (subject, day, tokens, questions)
    SELECT 'person:telegram:' || i, '20' || (i % 80 + 10) || '-01-01', 1, 1 FROM {conversations}""",
    """INSERT INTO token_usage (key_id, model, kind, day, tokens, request_count)
    SELECT 'key ' || i, 'm', 'chat', '20' || (i % 80 + 10) || '-01-01', 1, 1 FROM {conversations}""",
    """INSERT INTO preferences (scope, name, value, set_by)
    SELECT 'person:telegram:' || i, 'length', '500', '' FROM {conversations}""",
    """INSERT INTO personal_keys (person_key, encrypted_key, created_at)
    SELECT 'telegram:' || i, '', 0 FROM {conversations}""",
    """INSERT INTO suggested_questions (token, person_key, text, created_at)
    SELECT 'token ' || i, 'telegram:' || i, 'why?', i FROM {conversations}""",
    """INSERT INTO memory_entries (conversation_key, number, kind, name, digest, chunk_count, created_at)
    SELECT 'telegram:1:' || i || '::', 1, 'note', '', '', 1, i FROM {conversations}""",
    """INSERT INTO memory_chunks (conversation_key, kind, entry_id, position, label, text, model, vector, created_at)
    SELECT 'telegram:1:' || i || '::', 'note', i, 0, '', 'a note', 'm', {vector}, i FROM {conversations}""",
)


def insert_rows(connection: Connection, message_count: int, messages_per_conversation: int) -> None:
    """Fill an empty database. Conversation 5 is that of person 5 in a private chat."""
    is_sqlite = connection.dialect.name == "sqlite"

    def series(length: int) -> str:
        if not is_sqlite:
            return f"generate_series(1, {length}) AS n(i)"
        return f"(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {length}) SELECT i FROM n)"

    count = max(message_count // messages_per_conversation, 1)
    names = {
        "count": str(count),
        "conversations": series(count),
        "turns": series(message_count // 2),
        "messages": series(message_count),
        "vector": "zeroblob(8)" if is_sqlite else "'\\x0000000000000000'::bytea",
    }
    for statement in ROWS:
        connection.execute(text(statement.format(**names).replace("::'", "\\:\\:'").replace("::bytea", "\\:\\:bytea")))
    connection.execute(text("ANALYZE"))


def insert_messages(connection: Connection, conversation_id: int, count: int) -> None:
    """Questions and answers whose turns are deleted."""
    values = [
        {"conversation_id": conversation_id, "role": role, "text": f"Some sixty characters of a conversation, {number}"}
        for number in range(count // 2)
        for role in ("user", "assistant")
    ]
    connection.execute(messages.insert().values(turn_id=0, created_at=0), values)
