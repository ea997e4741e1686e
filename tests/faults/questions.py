"""Questions that can be told apart, and answers that name the question they belong to."""

import random
import re
from dataclasses import dataclass, field
from typing import Any

from bots.sandbox.model import Script
from bots.sandbox.model.tokens import pieces

__all__ = ["ASKED", "NAMES", "Question", "Questions", "last_marks"]

NAMES = re.compile(r"q[td]\d+x\d+(?!\d)")
ASKED = re.compile(r"Tell me about (q[td]\d+x\d+)")
WORDS = ("plain", "words", "that", "carry", "no", "marks", "at", "all")
SHORTEST, LONGEST = 0.3, 2.0  # seconds an answer is streamed


@dataclass(slots=True, eq=False)
class Question:
    """`id` is like `qt3x12`: the twelfth of the third person on Telegram. Times are monotonic."""

    id: str
    answer: str
    seconds: float
    """How long the model takes to say it."""
    message: int = 0
    """The platform's id of the message that asks."""
    asked_at: float = 0.0
    done_at: float | None = None
    failed: list[str] = field(default_factory=list)
    """How the model was made to fail on it, each time it was asked."""


def last_marks(question: Question) -> str:
    """The end of the answer to `question`, without any markup."""
    return f"Theendof{question.id}"


class Questions:
    """All that are asked, by id; `script` is the model's side of it.

    `spoil` may order the model to fail on one request: "cut", "stall" or a status.
    """

    def __init__(self, dice: random.Random, speed: float) -> None:
        self._dice = dice
        self._speed = speed
        self.by_id: dict[str, Question] = {}
        self.pace = 1.0
        """How many times as long every answer takes."""
        self.spoil = 0.0
        """The share of requests on which the model is made to fail."""

    def new(self, id_: str) -> Question:
        kind = self._dice.random()
        paragraphs = 2 if kind < 0.7 else self._dice.randint(10, 16) if kind < 0.92 else 40
        said = [self._paragraph(id_, number) for number in range(1, paragraphs + 1)]
        text = "\n\n".join([*said, f"The end of {id_}."])
        made = Question(id_, text, self._dice.uniform(SHORTEST, LONGEST))
        self.by_id[id_] = made
        return made

    def _paragraph(self, id_: str, number: int) -> str:
        words = " ".join(self._dice.choices(WORDS, k=self._dice.randint(8, 28)))
        return f"Paragraph {number} of {id_} has {words}."

    def script(self, body: dict[str, Any]) -> Script:
        question = self.asked(body)
        if question is None:
            return Script("They asked many questions and had answers.")  # a summary
        tokens = len(pieces(question.answer))
        speed = tokens / (question.seconds * self.pace * self._speed)
        if self._dice.random() >= self.spoil:
            return Script(question.answer, speed=speed)
        fault = self._dice.choice(("cut", "stall", "503", "429"))
        question.failed.append(fault)
        if fault.isdecimal():
            return Script("", status=int(fault))
        return Script(question.answer, speed=speed, fault=fault)

    def asked(self, body: dict[str, Any]) -> Question | None:
        """The question a request to the model is about; None: it is about several."""
        found = ASKED.fullmatch(str(body["messages"][-1]["content"]).strip())
        return self.by_id[found[1]] if found else None
