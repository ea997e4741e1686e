"""Questions with unique names, and answers that name their question."""

import asyncio
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bots.sandbox.model import ScriptedAnswer
from bots.sandbox.model.faults import StreamAction
from bots.sandbox.model.tokeniser import split_pieces
from core.store.batches import MAX_JOINED_CHARS

QUESTION_ID = re.compile(r"q[td]\d+x\d+(?!\d)")
PROMPT = re.compile(r"Tell me about (q[td]\d+x\d+)\..*")
FILLER_WORDS = ("plain", "words", "that", "carry", "no", "marks", "at", "all")
MIN_ANSWER_SECONDS, MAX_ANSWER_SECONDS = 0.3, 2.0


@dataclass(slots=True, eq=False)
class Question:
    """`id` has the form `qt3x12`: question 12 of person 3 on Telegram. Times are monotonic."""

    id: str
    answer: str
    stream_seconds: float
    """How long the model takes to stream the answer."""
    message_id: int = 0
    """The platform's ID of the question's message."""
    asked_at: float = 0.0
    answered_at: float | None = None
    injected_faults: list[str] = field(default_factory=list)
    """The faults injected into the answers, one per failed request."""


def prompt_about(question: Question) -> str:
    """Too long to be joined with other questions that wait, so that each has its own answer."""
    return f"Tell me about {question.id}.".ljust(MAX_JOINED_CHARS + 1, ".")


def ending(question: Question) -> str:
    """The end of the answer, without markup."""
    return f"Theendof{question.id}"


class Questions:
    """Creates questions; `script` is the model stand-in's answer to each of them."""

    def __init__(self, rng: random.Random, speed: float) -> None:
        self._dice = rng
        self._speed = speed
        self.by_id: dict[str, Question] = {}
        self.slowdown = 1.0
        """Multiplies the duration of every answer."""
        self.fault_rate = 0.0
        """The share of model requests that fail."""
        self._held: set[str] = set()
        self._released = asyncio.Event()

    def hold(self, questions: Iterable[Question]) -> None:
        """Stop the answers to these questions after half of the text, until `release`."""
        self._held = {question.id for question in questions}
        self._released = asyncio.Event()

    def release(self) -> None:
        """Continue the answers that were stopped."""
        self._held = set()
        self._released.set()

    def create(self, id_: str) -> Question:
        kind = self._dice.random()
        paragraphs = 2 if kind < 0.7 else self._dice.randint(10, 16) if kind < 0.92 else 40
        text_paragraphs = [self._paragraph(id_, number) for number in range(1, paragraphs + 1)]
        text = "\n\n".join([*text_paragraphs, f"The end of {id_}."])
        question = Question(id_, text, self._dice.uniform(MIN_ANSWER_SECONDS, MAX_ANSWER_SECONDS))
        self.by_id[id_] = question
        return question

    def _paragraph(self, id_: str, number: int) -> str:
        words = " ".join(self._dice.choices(FILLER_WORDS, k=self._dice.randint(8, 28)))
        return f"Paragraph {number} of {id_} has {words}."

    def script(self, body: dict[str, Any]) -> ScriptedAnswer:
        question = self.question_of(body)
        if question is None:
            return ScriptedAnswer("They asked many questions and had answers.")  # the request for a summary
        tokens = len(split_pieces(question.answer))
        speed = tokens / (question.stream_seconds * self.slowdown * self._speed)
        if self._dice.random() >= self.fault_rate:
            held = self._released if question.id in self._held else None
            return ScriptedAnswer(question.answer, relative_speed=speed, hold_until=held)
        fault = self._dice.choice(("close", "stall", "503", "429"))
        question.injected_faults.append(fault)
        if fault.isdecimal():
            return ScriptedAnswer("", status=int(fault))
        return ScriptedAnswer(question.answer, relative_speed=speed, action=StreamAction(fault))

    def question_of(self, body: dict[str, Any]) -> Question | None:
        """The question of a model request; None for a summary, which covers several."""
        match = PROMPT.fullmatch(str(body["messages"][-1]["content"]).strip())
        return self.by_id[match[1]] if match else None
