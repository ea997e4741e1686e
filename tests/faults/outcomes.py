"""Judges what happened to each question from the messages visible in the chat."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bots.discord.event_intake import NOT_STORED_TEXT
from core.texts import answers as texts
from tests.end_to_end.harness import letters_only
from tests.faults.chat_clients import BotMessage
from tests.faults.questions import QUESTION_ID, Question, ending

FAILURE_NOTICES = tuple(
    letters_only(text)
    for text in (
        *texts.FAILURE_TEXTS.values(),
        texts.QUESTION_OUTDATED,
        texts.DELIVERY_UNCERTAIN,
        texts.TOO_FAST,
        texts.INTERNAL_ERROR,
        texts.QUEUE_FULL,
        NOT_STORED_TEXT,
    )
)
THINKING_TEXT = "Thinking…"
ANSWERED_BY = "Answered by"
"""Part of the line that says which model answered; it may be a message of its own, below the answer."""


class Outcome(StrEnum):
    COMPLETE = "complete"
    NOTIFIED = "notified"
    """Not answered completely, and a notice says so."""
    DUPLICATED = "duplicated"
    PARTIAL = "partial"
    LOST = "lost"


@dataclass(slots=True)
class ChatOutcomes:
    """The outcomes of one person's questions in one chat."""

    by_question: dict[str, Outcome] = field(default_factory=dict)
    orphans: int = 0
    """Previews that never became an answer."""
    out_of_order: int = 0
    """Answers above the answer to an earlier question."""
    unexpected: list[str] = field(default_factory=list)
    """Messages that belong to no question and are no known notice."""
    texts: dict[str, str] = field(default_factory=dict)
    """The visible text of each answer."""


def assess(questions: Sequence[Question], bot_messages: Sequence[BotMessage], *, private: bool) -> ChatOutcomes:
    """`questions` in the order they were asked, `bot_messages` in the order they are visible."""
    outcomes = ChatOutcomes()
    positions_by_question = _assign(questions, bot_messages, outcomes, private=private)
    order = []
    for number, question in enumerate(questions):
        positions = positions_by_question[number]
        texts = [bot_messages[place].text for place in positions]
        outcome = outcomes.by_question[question.id] = _outcome(question, texts)
        outcomes.texts[question.id] = " | ".join(texts)
        if outcome in (Outcome.COMPLETE, Outcome.DUPLICATED):
            order.append(positions[0])
    outcomes.out_of_order = sum(later < earlier for earlier, later in itertools.pairwise(order))
    return outcomes


def _assign(
    questions: Sequence[Question],
    bot_messages: Sequence[BotMessage],
    outcomes: ChatOutcomes,
    *,
    private: bool,
) -> dict[int, list[int]]:
    """For each question the positions of the messages that answer it."""
    numbers = {question.id: number for number, question in enumerate(questions)}
    messages = {question.message_id: number for number, question in enumerate(questions)}
    positions: dict[int, list[int]] = {number: [] for number in range(len(questions))}
    unassigned = []
    for place, message in enumerate(bot_messages):
        # The first name counts: if the model was cut off, the last one may be the start of a longer name.
        names = [name for name in QUESTION_ID.findall(message.text) if name in numbers]
        number = numbers[names[0]] if names else messages.get(message.reply_to or 0)
        if message.has_stop_button or message.text.strip("*_ ") == THINKING_TEXT:
            outcomes.orphans += private or number is not None
        elif number is not None:
            positions[number].append(place)
        elif private and not QUESTION_ID.search(message.text) and ANSWERED_BY not in message.text:
            unassigned.append(place)
    for place in unassigned:
        if not _is_failure_notice(bot_messages[place].text):
            outcomes.unexpected.append(bot_messages[place].text)
            continue
        before = max((n for n, places in positions.items() if places and places[0] < place), default=-1)
        gap = before + 1
        is_partial = before >= 0 and Outcome.PARTIAL is _outcome(
            questions[before], [bot_messages[index].text for index in positions[before]]
        )
        if gap < len(questions) and not positions[gap] and not is_partial:
            positions[gap].append(place)
        elif before >= 0:
            positions[before].append(place)
    return positions


def _outcome(question: Question, texts: list[str]) -> Outcome:
    if not texts:
        return Outcome.LOST
    joined, expected = letters_only("".join(texts)), letters_only(question.answer)
    parts = [text for text in texts if QUESTION_ID.search(text)]
    if joined.count(ending(question)) > 1 or len(set(parts)) < len(parts):
        return Outcome.DUPLICATED
    if expected in joined:
        return Outcome.COMPLETE
    return Outcome.NOTIFIED if _is_failure_notice(joined) else Outcome.PARTIAL


def _is_failure_notice(text: str) -> bool:
    return failure_notice(text) is not None


def failure_notice(text: str) -> str | None:
    """The known failure notice that `text` contains."""
    plain = letters_only(text)
    return next((known for known in FAILURE_NOTICES if known in plain), None)
