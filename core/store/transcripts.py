"""Reads a conversation for /export, and replaces it for /import.

The person confirms an import. Until then, its messages are stored but excluded from the history, and are deleted with
old turns if nobody confirms.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta
from sqlalchemy import Connection, insert, select

from core.store.conversations import reset_history
from core.store.history import load_history
from core.store.schema import database_now, messages, turns
from core.store.turns import ANSWER_MODEL

MAX_MESSAGES = 2000
"""No window fits more."""
MAX_MESSAGE_CHARS = 400_000


class TranscriptMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    role: Literal["user", "assistant"]
    text: Annotated[str, Meta(min_length=1, max_length=MAX_MESSAGE_CHARS)]
    model: Annotated[str, Meta(max_length=200)] = ""
    """That wrote the answer; empty if unknown."""


def load_transcript(connection: Connection, conversation_id: int) -> tuple[TranscriptMessage, ...]:
    """The newest messages since /new that lead to the newest answer, oldest first."""
    history = load_history(connection, conversation_id, None, MAX_MESSAGES).messages
    ids = [message.id for message in history if message.role == "assistant"]
    answers = select(messages.c.id, ANSWER_MODEL.label("model")).outerjoin(turns, turns.c.id == messages.c.turn_id)
    models = {row.id: row.model or "" for row in connection.execute(answers.where(messages.c.id.in_(ids)))}
    return tuple(TranscriptMessage(message.role, message.text, models.get(message.id, "")) for message in history)


def stage_import(
    connection: Connection, conversation_id: int, turn_id: int, imported: Sequence[TranscriptMessage]
) -> None:
    """Keep the messages of a file for `apply_import`. Repeated calls keep them once."""
    if not _staged(connection, turn_id):
        rows = [{"role": message.role, "text": message.text, "model": message.model or None} for message in imported]
        _insert(
            connection, conversation_id, turn_id, [{**row, "turn_id": turn_id, "is_excluded": True} for row in rows]
        )


def apply_import(connection: Connection, conversation_id: int, staged_by: int, turn_id: int) -> int:
    """Replace the history of the conversation by what a turn has staged. `turn_id` is the turn that asks for it.

    Returns the number of messages; 0 if nothing is staged, or no longer.
    """
    staged = _staged(connection, staged_by)
    if not staged:
        return 0
    reset_history(connection, conversation_id, turn_id)
    turn_ids = _exchange_ids([row["role"] for row in staged], turn_id)
    rows = [{**row, "turn_id": exchange, "is_excluded": False} for row, exchange in zip(staged, turn_ids, strict=True)]
    _insert(connection, conversation_id, turn_id, rows)
    return len(rows)


def _staged(connection: Connection, turn_id: int) -> list[dict[str, Any]]:
    """The role, text and model of each message that the turn has staged."""
    is_staged = (messages.c.turn_id == turn_id, messages.c.is_excluded.is_(True))
    query = select(messages.c.role, messages.c.text, messages.c.model).where(*is_staged).order_by(messages.c.id)
    return [dict(row) for row in connection.execute(query).mappings()]


def _exchange_ids(roles: Sequence[str], turn_id: int) -> Iterator[int]:
    """A number for each question with its answer, like a turn's, that no turn has: an import is no turn."""
    exchange = -turn_id * MAX_MESSAGES
    for role in roles:
        exchange -= int(role == "user")
        yield exchange


def _insert(connection: Connection, conversation_id: int, imported_by: int, rows: Sequence[dict[str, object]]) -> None:
    person_key = connection.scalar(select(turns.c.person_key).where(turns.c.id == imported_by))
    columns = {"conversation_id": conversation_id, "person_key": person_key}
    connection.execute(insert(messages).values(created_at=database_now()), [{**row, **columns} for row in rows])
