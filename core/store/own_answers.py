"""A person's last answers in their private chat, for sharing."""

from collections.abc import Collection
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import Connection, func, select

from core.store.schema import messages, turns

MAX_SEARCHED_TURNS = 40
MAX_SEARCHED_CHARS = 40_000
"""How many characters of each answer are searched: more than one message shows."""


@dataclass(frozen=True, slots=True)
class OwnAnswer:
    question: str
    text: str


def find_own_answers(
    connection: Connection, person_key: str, chat_key: str, words: Collection[str], limit: int
) -> list[OwnAnswer]:
    """The newest answers to this person in this chat in which all `words` occur, or in their questions.

    Long texts are cut.
    """
    recent = (
        select(turns.c.id)
        .where(turns.c.person_key == person_key, turns.c.chat_key == chat_key)
        .order_by(turns.c.created_at.desc())
        .limit(MAX_SEARCHED_TURNS)
        .subquery()
    )
    rows = connection.execute(
        select(messages.c.turn_id, messages.c.role, func.substr(messages.c.text, 1, MAX_SEARCHED_CHARS).label("text"))
        .where(messages.c.turn_id.in_(select(recent.c.id)), messages.c.is_excluded.is_(False))
        .order_by(messages.c.id)
    )
    exchanges: dict[int, dict[str, str]] = {}
    for row in rows:
        exchanges.setdefault(row.turn_id, {})[row.role] = row.text
    answers = [OwnAnswer(texts.get("user", ""), texts.get("assistant", "")) for texts in exchanges.values()]
    matching = (answer for answer in reversed(answers) if answer.text.strip() and _contains(answer, words))
    return list(islice(matching, limit))


def _contains(answer: OwnAnswer, words: Collection[str]) -> bool:
    text = f"{answer.question}\n{answer.text}".casefold()
    return all(word.casefold() in text for word in words)
