"""What became of each question, judged by what stands on the platform."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bots.discord.receiving import NOT_STORED_TEXT
from core.turns import texts
from tests.end_to_end.harness import letters_only
from tests.faults.chat_clients import BotMessage
from tests.faults.questions import QUESTION_ID, Question, ending

__all__ = ["ChatOutcomes", "Outcome", "assess", "failure_notice"]

FAILURE_NOTICES = tuple(
    letters_only(said)
    for said in (
        *texts.FAILURE_TEXTS.values(),
        texts.QUESTION_OUTDATED,
        texts.DELIVERY_UNCERTAIN,
        texts.TOO_FAST,
        texts.INTERNAL_ERROR,
        texts.QUEUE_FULL,
        NOT_STORED_TEXT,
        "I could not take your message",
    )
)
THINKING_TEXT = "Thinking…"
ANSWERED_BY = "answered by"
"""Of the line under an answer that tells who gave it: it may stand alone, the answer above it."""


class Outcome(StrEnum):
    COMPLETE = "whole"
    NOTIFIED = "told"
    """Not answered, or not in full, and the person knows."""
    DUPLICATED = "answered twice"
    PARTIAL = "not whole"
    LOST = "lost"


@dataclass(slots=True)
class ChatOutcomes:
    """Of one person in one chat."""

    by_question: dict[str, Outcome] = field(default_factory=dict)
    orphans: int = 0
    """Messages that were to become an answer, and were left behind."""
    out_of_order: int = 0
    """Answers that stand before one to an earlier question."""
    unexpected: list[str] = field(default_factory=list)
    """Messages that belong to no question and say nothing known."""
    texts: dict[str, str] = field(default_factory=dict)
    """What stands under each question."""


def assess(questions: Sequence[Question], bot_messages: Sequence[BotMessage], *, private: bool) -> ChatOutcomes:
    """`questions` in the order they were asked; `said` in the order it was said."""
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
    """The places in `said` of what answers each question."""
    numbers = {question.id: number for number, question in enumerate(questions)}
    messages = {question.message_id: number for number, question in enumerate(questions)}
    found: dict[int, list[int]] = {number: [] for number in range(len(questions))}
    unassigned = []
    for place, one in enumerate(bot_messages):
        # The first: where the model was cut off the last may be the beginning of another.
        names = [name for name in QUESTION_ID.findall(one.text) if name in numbers]
        number = numbers[names[0]] if names else messages.get(one.reply_to or 0)
        if one.has_stop_button or one.text.strip("*_ ") == THINKING_TEXT:
            outcomes.orphans += private or number is not None
        elif number is not None:
            found[number].append(place)
        elif private and not QUESTION_ID.search(one.text) and ANSWERED_BY not in one.text:
            unassigned.append(place)
    for place in unassigned:
        if not _is_failure_notice(bot_messages[place].text):
            outcomes.unexpected.append(bot_messages[place].text)
            continue
        before = max((n for n, places in found.items() if places and places[0] < place), default=-1)
        gap = before + 1
        halfway = before >= 0 and Outcome.PARTIAL is _outcome(
            questions[before], [bot_messages[one].text for one in found[before]]
        )
        if gap < len(questions) and not found[gap] and not halfway:
            found[gap].append(place)
        elif before >= 0:
            found[before].append(place)
    return found


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
    """Which of the known words about a failure `text` holds."""
    plain = letters_only(text)
    return next((known for known in FAILURE_NOTICES if known in plain), None)
