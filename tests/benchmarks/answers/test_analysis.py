"""What the analysis makes of answers that arrived late, in parts, twice or not at all."""

from collections.abc import Sequence

import pytest

from tests.benchmarks.answers.analysis import QuestionRecord, analyse_answer
from tests.benchmarks.answers.report import worse_ratios
from tests.benchmarks.answers.services import TextChange
from tests.benchmarks.answers.texts import Question, QuestionBook, answer_text

QUESTION = Question(1, "One two six ten")
PIECE_TIMES = (10.0, 11.0, 12.0, 13.0)


def record(*changes: tuple[float, str, str | None], piece_times: Sequence[float] = PIECE_TIMES) -> QuestionRecord:
    """Changes are a time, the message's ID ("" for a draft) and its text."""
    assert QUESTION.pieces == ("One", " two", " six", " ten")
    text_changes = [TextChange(time, "chat", message_id, text) for time, message_id, text in changes]
    return QuestionRecord(QUESTION, 9.0, 9.5, piece_times, text_changes)


def test_edits_show_more_and_more() -> None:
    figures = analyse_answer(
        record((10.5, "a", "One"), (12.5, "a", "One **two** six"), (13.25, "a", "One two six ten"))
    )
    assert figures.is_whole
    assert figures.question_to_request == 0.5
    assert figures.first_to_visible == 0.5
    assert figures.token_delay == pytest.approx((0.5 + 1.5 + 0.5 + 0.25) / 4)
    assert figures.last_to_full == 0.25
    # Of the 3.25 seconds until everything is visible: 0 to 0.5, then 0 to 1.5, then 0 to 0.25 seconds old.
    assert figures.text_age == pytest.approx((0.5**2 + 1.5**2 + 0.25**2) / 2 / 3.25)
    assert max(figures.ages) == pytest.approx(1.4)


def test_drafts_are_visible_but_only_messages_make_an_answer_full() -> None:
    figures = analyse_answer(record((10.0, "", "One"), (13.0, "", "One two six ten"), (14.0, "a", "One two six ten")))
    assert figures.first_to_visible == 0
    assert figures.token_delay == pytest.approx((0 + 2 + 1 + 0) / 4)
    assert figures.last_to_full == 1.0
    assert figures.is_whole


def test_draft_continues_messages() -> None:
    figures = analyse_answer(record((11.0, "a", "One two"), (12.0, "", "six"), (13.0, "b", "six ten")))
    assert figures.token_delay == pytest.approx((1 + 0 + 0 + 0) / 4)
    assert figures.is_whole


def test_draft_without_its_message_is_not_whole() -> None:
    figures = analyse_answer(record((13.0, "", "One two six ten")))
    assert not figures.is_whole
    assert figures.last_to_full is None


@pytest.mark.parametrize("texts", [("One two ten",), ("One two six ten", "ten"), ("One two",)])
def test_damaged_answer_is_not_whole(texts: tuple[str, ...]) -> None:
    changes = [(13.0 + number, str(number), text) for number, text in enumerate(texts)]
    assert not analyse_answer(record(*changes)).is_whole


def test_status_that_is_deleted_is_no_part_of_the_answer() -> None:
    figures = analyse_answer(
        record((10.0, "status", "Thinking"), (13.0, "a", "One two six ten"), (13.5, "status", None))
    )
    assert figures.is_whole
    assert figures.first_to_visible == 3.0
    assert figures.last_to_full == 0


def test_answer_that_the_model_broke_off_is_not_whole() -> None:
    figures = analyse_answer(record((12.0, "a", "One two"), piece_times=(10.0, 11.0)))
    assert not figures.is_whole
    assert figures.token_delay == pytest.approx((2 + 1) / 2)
    assert figures.last_to_full is None


def test_unasked_question_has_no_figures() -> None:
    figures = analyse_answer(QuestionRecord(QUESTION, 9.0, None, (), ()))
    assert (figures.question_to_request, figures.first_to_visible, figures.token_delay) == (None, None, None)
    assert not figures.is_whole


@pytest.mark.parametrize("number", range(1, 20))
def test_prefixes_of_an_answer_show_its_pieces_in_order(number: int) -> None:
    question = QuestionBook().create(200)
    assert 200 <= len(Question(number, answer_text(number, 200)).pieces) <= 203
    counts = [question.visible_pieces(question.letters[:size]) for size in range(len(question.letters) + 1)]
    assert counts == sorted(counts)
    assert (counts[0], counts[-1]) == (0, len(question.pieces))


def test_ratio_may_be_worse_by_a_third_and_no_more() -> None:
    baseline = {"CPU": 0.6, "calls": 1.0}
    assert worse_ratios({"CPU": 0.79, "calls": 1.3}, baseline) == []
    assert worse_ratios({"CPU": 0.81, "calls": 0.5}, baseline) == ["CPU: 0.81, recorded 0.60"]
    assert worse_ratios({"CPU": 0.6}, baseline) == ["calls: nan, recorded 1.00"]
