"""From the records of the stand-ins to the figures of one answer. A piece is a token as the model sends it.

A piece is visible when a call that shows it was accepted, drafts included. An answer is whole when in the end the
bot's messages contain it exactly once.
"""

import bisect
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from tests.benchmarks.answers.services import TextChange
from tests.benchmarks.answers.texts import Question
from tests.end_to_end.harness import letters_only


@dataclass(frozen=True, slots=True)
class QuestionRecord:
    """What the stand-ins recorded of one question. Times are by the monotonic clock."""

    question: Question
    asked_at: float
    requested_at: float | None
    """When the model got it."""
    piece_times: Sequence[float]
    """When the model sent each piece of the answer."""
    changes: Sequence[TextChange]
    """Of the chat until the next question."""


@dataclass(frozen=True, slots=True)
class VisibleStep:
    """So many pieces were visible from this time on; `in_messages` without drafts."""

    time: float
    count: int
    in_messages: int


@dataclass(frozen=True, slots=True)
class AnswerFigures:
    """Seconds. None: it never came so far."""

    is_whole: bool
    question_to_request: float | None
    first_to_visible: float | None
    """From the first piece to its visibility."""
    token_delay: float | None
    """The mean, over visible pieces, of the time between being sent and being visible."""
    text_age: float | None
    """The age of the oldest piece that is not visible yet, averaged over the time until all are."""
    last_to_full: float | None
    """From the last piece to the whole text in messages."""
    piece_count: int
    ages: tuple[float, ...]
    """The age of the text, every `AGE_STEP` seconds from the first piece until everything is visible."""


AGE_STEP = 0.1


def analyse_answer(record: QuestionRecord) -> AnswerFigures:
    steps = visible_steps(record)
    times, count = record.piece_times, len(record.piece_times)
    requested = None if record.requested_at is None else record.requested_at - record.asked_at
    visible_at = _visibility(steps, count)
    delays = [max(0.0, at - sent_at) for at, sent_at in zip(visible_at, times, strict=False)]
    is_complete = count == len(record.question.pieces)
    full_at = next((step.time for step in steps if step.in_messages >= count), None) if is_complete else None
    ages = text_ages(times, visible_at)
    return AnswerFigures(
        is_whole=is_complete and _stands_whole(record),
        question_to_request=requested,
        first_to_visible=delays[0] if delays else None,
        token_delay=fmean(delays) if delays else None,
        text_age=mean_text_age(times, visible_at),
        last_to_full=None if full_at is None else max(0.0, full_at - times[-1]),
        piece_count=count,
        ages=tuple(ages),
    )


def visible_steps(record: QuestionRecord) -> list[VisibleStep]:
    """How much of the answer was visible after each change."""
    chat, question, steps = _Chat(), record.question, []
    for change in record.changes:
        chat.apply(change)
        texts = list(chat.messages.values())
        # Something else, such as a status, may stand before the answer.
        in_messages = max(question.visible_pieces("".join(texts[start:])) for start in range(len(texts) + 1))
        # A draft is the whole answer, or what follows the messages.
        in_draft = max(question.visible_pieces(text + chat.draft) for text in ("", "".join(texts)))
        steps.append(VisibleStep(change.time, max(in_messages, in_draft), in_messages))
    return steps


class _Chat:
    """The letters that are visible, by message."""

    def __init__(self) -> None:
        self.messages: dict[str, str] = {}
        self.draft = ""

    def apply(self, change: TextChange) -> None:
        if change.text is None:
            self.messages.pop(change.message_id, None)
        elif not change.message_id:
            self.draft = letters_only(change.text)
        else:
            if change.message_id not in self.messages:
                self.draft = ""  # a new message ends the draft
            self.messages[change.message_id] = letters_only(change.text)


def _stands_whole(record: QuestionRecord) -> bool:
    chat = _Chat()
    for change in record.changes:
        chat.apply(change)
    return "".join(chat.messages.values()) == record.question.letters


def _visibility(steps: Sequence[VisibleStep], piece_count: int) -> list[float]:
    """When each piece became visible, as far as they did."""
    visible_at: list[float] = []
    for step in steps:
        visible_at += [step.time] * (min(step.count, piece_count) - len(visible_at))
    return visible_at


def text_ages(piece_times: Sequence[float], visible_at: Sequence[float]) -> list[float]:
    """How old the oldest piece was that was not visible yet, every `AGE_STEP` seconds."""
    if len(visible_at) < len(piece_times) or not visible_at:
        return []
    started_at, ages = piece_times[0], list[float]()
    while (now := started_at + len(ages) * AGE_STEP) < visible_at[-1]:
        # Pieces become visible in order: the first one that is not visible is the oldest.
        oldest = bisect.bisect_right(visible_at, now)
        ages.append(max(0.0, now - piece_times[oldest]))
    return ages


def mean_text_age(piece_times: Sequence[float], visible_at: Sequence[float]) -> float | None:
    """The time average of the same, exactly, up to the last piece that became visible."""
    if not visible_at:
        return None
    duration = visible_at[-1] - piece_times[0]
    if duration <= 0:
        return 0.0
    area, now = 0.0, piece_times[0]
    for sent_at, shown_at in zip(piece_times, visible_at, strict=False):
        start = max(now, sent_at)
        if shown_at > start:
            area += ((shown_at - sent_at) ** 2 - (start - sent_at) ** 2) / 2
            now = shown_at
    return area / duration


def percentile(values: Sequence[float], share: float) -> float | None:
    """The value below which this share of the values lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else None
