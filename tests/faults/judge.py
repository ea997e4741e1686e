"""What became of each question, judged by what stands on the platform."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from bots.discord.listening import NOT_KEPT
from core.turns import words
from tests.end_to_end.world import letters
from tests.faults.questions import NAMES, Question, last_marks
from tests.faults.rooms import Said

__all__ = ["Fate", "Judged", "judge", "told"]

TOLD = tuple(
    letters(said)
    for said in (
        *words.SAID.values(), words.TOO_OLD, words.DOUBT, words.FAST, words.INTERNAL, words.FULL,
        NOT_KEPT, "I could not take your message",
    )
)  # fmt: skip
THINKING = "Thinking…"
INSTEAD = "answered by"
"""Of the line under an answer that tells who gave it: it may stand alone, the answer above it."""


class Fate(StrEnum):
    WHOLE = "whole"
    TOLD = "told"
    """Not answered, or not in full, and the person knows."""
    TWICE = "answered twice"
    PART = "not whole"
    LOST = "lost"


@dataclass(slots=True)
class Judged:
    """Of one person in one chat."""

    fates: dict[str, Fate] = field(default_factory=dict)
    orphans: int = 0
    """Messages that were to become an answer, and were left behind."""
    disorder: int = 0
    """Answers that stand before one to an earlier question."""
    strange: list[str] = field(default_factory=list)
    """Messages that belong to no question and say nothing known."""
    shown: dict[str, str] = field(default_factory=dict)
    """What stands under each question."""


def judge(questions: Sequence[Question], said: Sequence[Said], *, private: bool) -> Judged:
    """`questions` in the order they were asked; `said` in the order it was said."""
    judged = Judged()
    found = _sort(questions, said, judged, private=private)
    order = []
    for number, question in enumerate(questions):
        places = found[number]
        texts = [said[place].text for place in places]
        fate = judged.fates[question.id] = _fate(question, texts)
        judged.shown[question.id] = " | ".join(texts)
        if fate in (Fate.WHOLE, Fate.TWICE):
            order.append(places[0])
    judged.disorder = sum(later < earlier for earlier, later in itertools.pairwise(order))
    return judged


def _sort(
    questions: Sequence[Question], said: Sequence[Said], judged: Judged, *, private: bool
) -> dict[int, list[int]]:
    """The places in `said` of what answers each question."""
    numbers = {question.id: number for number, question in enumerate(questions)}
    messages = {question.message: number for number, question in enumerate(questions)}
    found: dict[int, list[int]] = {number: [] for number in range(len(questions))}
    nameless = []
    for place, one in enumerate(said):
        # The first: where the model was cut off the last may be the beginning of another.
        names = [name for name in NAMES.findall(one.text) if name in numbers]
        number = numbers[names[0]] if names else messages.get(one.reply_to or 0)
        if one.growing or one.text.strip("*_ ") == THINKING:
            judged.orphans += private or number is not None
        elif number is not None:
            found[number].append(place)
        elif private and not NAMES.search(one.text) and INSTEAD not in one.text:
            nameless.append(place)
    for place in nameless:
        if not _tells(said[place].text):
            judged.strange.append(said[place].text)
            continue
        before = max((n for n, places in found.items() if places and places[0] < place), default=-1)
        gap = before + 1
        halfway = before >= 0 and Fate.PART is _fate(
            questions[before], [said[one].text for one in found[before]]
        )
        if gap < len(questions) and not found[gap] and not halfway:
            found[gap].append(place)
        elif before >= 0:
            found[before].append(place)
    return found


def _fate(question: Question, texts: list[str]) -> Fate:
    if not texts:
        return Fate.LOST
    joined, expected = letters("".join(texts)), letters(question.answer)
    parts = [text for text in texts if NAMES.search(text)]
    if joined.count(last_marks(question)) > 1 or len(set(parts)) < len(parts):
        return Fate.TWICE
    if expected in joined:
        return Fate.WHOLE
    return Fate.TOLD if _tells(joined) else Fate.PART


def _tells(text: str) -> bool:
    return told(text) is not None


def told(text: str) -> str | None:
    """Which of the known words about a failure `text` holds."""
    plain = letters(text)
    return next((known for known in TOLD if known in plain), None)
