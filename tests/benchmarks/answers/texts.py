"""The questions that people ask, the answers that the model gives, and how much of an answer a text shows."""

import bisect
import itertools
import random
import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bots.sandbox.model.tokeniser import split_pieces
from tests.end_to_end.harness import letters_only

WORDS = [
    *("harbour", "lantern", "meadow", "copper", "thimble", "orchard", "granite", "whistle", "paddle", "ribbon"),
    *("saddle", "timber", "velvet", "window", "anchor", "basket", "candle", "dragon", "engine", "feather"),
]
QUESTION_PATTERN = re.compile(r"question (\d+)")


@dataclass(frozen=True)
class Question:
    """`pieces` are the tokens of its answer as the stand-in sends them."""

    number: int
    answer: str

    @property
    def text(self) -> str:
        return f"Please answer question {self.number}."

    @cached_property
    def pieces(self) -> tuple[str, ...]:
        return split_pieces(self.answer)

    @cached_property
    def letters(self) -> str:
        return letters_only(self.answer)

    @cached_property
    def _letter_counts(self) -> list[int]:
        """How many letters the answer has after each piece."""
        texts = itertools.accumulate(self.pieces)
        return [len(letters_only(text)) for text in texts]

    def visible_pieces(self, letters: str) -> int:
        """How many pieces a text with these letters shows, from the first one without a gap."""
        if self.letters.startswith(letters):
            shown = len(letters)
        else:
            pairs = zip(self.letters, letters, strict=False)
            shown = sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
        return bisect.bisect_right(self._letter_counts, shown) if shown else 0


@dataclass
class QuestionBook:
    """All questions of a run; their numbers tell them apart."""

    questions: dict[int, Question] = field(default_factory=dict)

    def create(self, token_count: int) -> Question:
        number = len(self.questions) + 1
        question = self.questions[number] = Question(number, answer_text(number, token_count))
        return question

    def find(self, body: dict[str, Any]) -> Question | None:
        """The question that a request to the model asks."""
        numbers = QUESTION_PATTERN.findall(str(body["messages"][-1]["content"]))
        return self.questions.get(int(numbers[-1])) if numbers else None

    def answer(self, body: dict[str, Any]) -> str:
        question = self.find(body)
        return "There is no such question." if question is None else question.answer


def answer_text(number: int, token_count: int) -> str:
    """An answer of `token_count` tokens: blocks of Markdown, and a paragraph of the rest."""
    words = random.Random(number)
    text = f"Answer {number} begins here."
    for block in itertools.count():
        longer = f"{text}\n\n{_block(block, words)}"
        if len(split_pieces(longer)) > token_count - 2:
            break
        text = longer
    text += "\n\nFinally"
    while len(split_pieces(text)) < token_count:
        text += f" {words.choice(WORDS)}"
    return text


def _block(number: int, words: random.Random) -> str:
    def some(count: int) -> str:
        return " ".join(words.choices(WORDS, k=count))

    match number % 5:
        case 0:
            return f"## {some(3)}"
        case 1 | 3:
            return f"The {some(6)} and **{some(2)}** of *{some(3)}* with `{some(1)}` for {some(9)}."
        case 2:
            return "\n".join(f"- {some(4)} **{some(1)}**" for _ in range(3))
        case _:
            return f"```python\n{some(1)} = {some(1)}({some(1)})\n```"
