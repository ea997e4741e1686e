"""Reads what every turn needs, and what a plain question needs, in one transaction."""

from dataclasses import dataclass

from sqlalchemy import Connection

from core.conversation.preferences import Preferences, load_preferences
from core.memory.service import MAX_UNINDEXED_TEXTS
from core.port import EventKind, Incoming
from core.scopes import person_key
from core.settings import Settings
from core.store.answers import find_parent
from core.store.memories import SearchedMemory, get_searched
from core.store.turns import Turn, TurnState


@dataclass(frozen=True, slots=True)
class QuestionContext:
    parent_turn: int | None
    """See `find_parent`."""
    memory: SearchedMemory


@dataclass(frozen=True, slots=True)
class TurnStart:
    preferences: Preferences
    context: QuestionContext | None = None
    """Of a question that consists of its own text. Others read it when they need it: what they quote decides about the
    parent, and their files become part of the memory."""


def load_start(connection: Connection, turn: Turn, settings: Settings) -> TurnStart:
    incoming = turn.incoming
    preferences = load_preferences(connection, incoming, settings)
    if turn.refusal is not None or turn.state is not TurnState.RUNNING or not _is_plain_question(incoming):
        return TurnStart(preferences)
    parent_turn = find_parent(connection, turn.conversation_id, person_key(incoming.sender), None)
    memory = get_searched(connection, turn.conversation_id, MAX_UNINDEXED_TEXTS)
    return TurnStart(preferences, QuestionContext(parent_turn, memory))


def _is_plain_question(incoming: Incoming) -> bool:
    is_asked = incoming.kind is EventKind.PROMPT or (incoming.kind is EventKind.COMMAND and incoming.command == "ask")
    return is_asked and not (incoming.attachments or incoming.quotes)
