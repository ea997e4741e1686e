"""Limits of what a model may produce in answer to one request, whatever the size of its chunks."""

from core.api.events import ReasoningDelta, TextDelta, TextWasReasoning
from core.turns.streamed_answer import MAX_ANSWER_CHARS, MAX_REASONING_CHARS, StreamedAnswer


def test_answer_ends_at_the_limit_within_a_chunk() -> None:
    answer = StreamedAnswer()
    answer.add(TextDelta("a" * (MAX_ANSWER_CHARS - 1)))
    answer.add(TextDelta("b" * 4_000_000))
    assert answer.text == "a" * (MAX_ANSWER_CHARS - 1) + "b"
    assert answer.reached_char_limit
    answer.add(TextDelta("c"))
    assert len(answer.text) == MAX_ANSWER_CHARS


def test_reasoning_ends_at_the_limit_within_a_chunk() -> None:
    answer = StreamedAnswer()
    answer.add(ReasoningDelta("a" * 4_000_000))
    assert len(answer.reasoning) == MAX_REASONING_CHARS
    answer.add(TextDelta("b" * MAX_ANSWER_CHARS))
    answer.add(TextWasReasoning())
    assert (len(answer.reasoning), answer.text) == (MAX_REASONING_CHARS, "")
