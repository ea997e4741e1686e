"""Collects all that is stored of one person, for themselves."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, select

from core.store.people import Person, find_conversations, setting_scopes
from core.store.schema import (
    access_requests,
    daily_usage,
    grants,
    memory_chunks,
    memory_entries,
    messages,
    personal_keys,
    preferences,
    reasoning,
    suggested_questions,
    summaries,
    token_usage,
    turns,
)
from core.store.turns import ANSWER_MODEL, ANSWER_NOTE


class ExportedMessage(msgspec.Struct, frozen=True, omit_defaults=True):
    role: str
    text: str
    time: str
    """ISO 8601, UTC."""
    pictures: str = ""
    """Where the platform has them, as it is stored: JSON."""
    reasoning: str = ""
    """The model's reasoning, as long as it is stored."""
    model: str = ""
    """That wrote the answer."""
    note: str = ""
    """What the bot said under the answer, as long as it is stored."""


class ExportedEntry(msgspec.Struct, frozen=True):
    """A note or a file."""

    kind: str
    name: str
    time: str
    texts: list[str]


class ExportedConversation(msgspec.Struct, frozen=True):
    key: str
    """Platform, bot, chat, topic or thread, and person."""
    is_shared: bool
    """Others write in it, too. Only the person's own questions, the answers to them, notes and files are here."""
    messages: list[ExportedMessage]
    entries: list[ExportedEntry]
    summary: str = ""


class ExportedEvent(msgspec.Struct, frozen=True):
    """A message, command or button press that the bot has received."""

    time: str
    key: str
    state: str
    record: str
    """As it is stored: JSON."""


class PersonData(msgspec.Struct, frozen=True):
    person: str
    access: list[dict[str, str]]
    has_personal_api_key: bool
    settings: list[dict[str, str]]
    daily_usage: list[dict[str, str | int]]
    usage_of_personal_api_key: list[dict[str, str | int]]
    conversations: list[ExportedConversation]
    events: list[ExportedEvent]
    suggested_questions: list[dict[str, str]]
    """Typed in other chats in the last hour or two, whether they were asked or not."""

    @property
    def is_empty(self) -> bool:
        parts = (
            *(self.access, self.settings, self.daily_usage, self.usage_of_personal_api_key),
            *(self.conversations, self.events, self.suggested_questions),
        )
        return not (any(parts) or self.has_personal_api_key)

    def encode(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=2)


def export_person(connection: Connection, person: Person, *, key_ids: Collection[str] = ()) -> PersonData:
    """`key_ids` are the digests of the person's own API keys."""
    known = find_conversations(connection, person)
    exported = [_conversation(connection, person, id_, key, is_shared=False) for key, id_ in known.own.items()]
    exported += [_conversation(connection, person, id_, key, is_shared=True) for key, id_ in known.shared.items()]
    has_key = select(personal_keys.c.person_key).where(personal_keys.c.person_key == person.key)
    return PersonData(
        person.key,
        _access(connection, person),
        connection.scalar(has_key) is not None,
        _settings(connection, person, known.private_chats),
        _usage(connection, person),
        _usage_of_keys(connection, key_ids),
        exported,
        _events(connection, person),
        _suggested_questions(connection, person),
    )


def _conversation(
    connection: Connection, person: Person, id_: int, key: str, *, is_shared: bool
) -> ExportedConversation:
    is_answer = messages.c.role == "assistant"
    written = (
        select(
            messages,
            reasoning.c.text.label("reasoning"),
            ANSWER_MODEL.label("answer_model"),
            ANSWER_NOTE.label("note"),
        )
        .outerjoin(reasoning, (reasoning.c.turn_id == messages.c.turn_id) & is_answer)
        .outerjoin(turns, (turns.c.id == messages.c.turn_id) & is_answer)
        .where(messages.c.conversation_id == id_)
    )
    stored = select(memory_entries).where(memory_entries.c.conversation_key == key)
    if is_shared:
        written = written.where(messages.c.person_key == person.key)
        stored = stored.where(memory_entries.c.person_key == person.key)
    summary = (
        None if is_shared else connection.scalar(select(summaries.c.text).where(summaries.c.conversation_id == id_))
    )
    rows = connection.execute(written.order_by(messages.c.id))
    entries = connection.execute(stored.order_by(memory_entries.c.number)).all()
    return ExportedConversation(
        key,
        is_shared,
        [_message(row) for row in rows],
        [ExportedEntry(row.kind, row.name, _iso(row.created_at), _texts(connection, row.id)) for row in entries],
        summary or "",
    )


def _message(row: Row[Any]) -> ExportedMessage:
    details = (row.images_json or "", row.reasoning or "", row.answer_model or "", row.note or "")
    return ExportedMessage(row.role, row.text, _iso(row.created_at), *details)


def _texts(connection: Connection, entry_id: int) -> list[str]:
    chunks = select(memory_chunks.c.text).where(memory_chunks.c.entry_id == entry_id)
    return list(connection.scalars(chunks.order_by(memory_chunks.c.position)))


def _access(connection: Connection, person: Person) -> list[dict[str, str]]:
    granted = connection.execute(select(grants).where(grants.c.subject == person.subject)).all()
    asked = connection.execute(select(access_requests).where(access_requests.c.subject == person.subject)).all()
    return [{"role": row.role, "name": row.name, "time": _iso(row.created_at)} for row in granted] + [
        {"request": row.decision or "undecided", "name": row.name, "time": _iso(row.created_at)} for row in asked
    ]


def _settings(connection: Connection, person: Person, private_chats: Collection[str]) -> list[dict[str, str]]:
    scopes = setting_scopes(connection, person, private_chats)
    rows = connection.execute(select(preferences).where(preferences.c.scope.in_(scopes)))
    return [{"scope": row.scope, "name": row.name, "value": row.value} for row in rows]


def _usage(connection: Connection, person: Person) -> list[dict[str, str | int]]:
    rows = connection.execute(select(daily_usage).where(daily_usage.c.subject.in_(person.usage_subjects)))
    return [{"day": row.day, "tokens": row.tokens, "questions": row.questions} for row in rows]


def _usage_of_keys(connection: Connection, key_ids: Collection[str]) -> list[dict[str, str | int]]:
    stored = select(token_usage).where(token_usage.c.key_id.in_(key_ids))
    rows = connection.execute(stored.order_by(token_usage.c.day, token_usage.c.model))
    return [
        {"day": row.day, "model": row.model, "kind": row.kind, "tokens": row.tokens, "answers": row.request_count}
        for row in rows
    ]


def _events(connection: Connection, person: Person) -> list[ExportedEvent]:
    stored = select(turns.c.created_at, turns.c.event_key, turns.c.state, turns.c.incoming_json)
    rows = connection.execute(stored.where(turns.c.person_key == person.key).order_by(turns.c.id))
    return [ExportedEvent(_iso(row.created_at), row.event_key, row.state, row.incoming_json) for row in rows]


def _suggested_questions(connection: Connection, person: Person) -> list[dict[str, str]]:
    is_theirs = suggested_questions.c.person_key == person.key
    rows = connection.execute(select(suggested_questions).where(is_theirs).order_by(suggested_questions.c.created_at))
    return [{"time": _iso(row.created_at), "text": row.text} for row in rows]


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
