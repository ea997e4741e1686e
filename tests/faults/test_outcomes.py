"""The assessment itself: from visible messages to outcomes."""

from core.texts import answers as texts
from tests.faults.chat_clients import BotMessage
from tests.faults.outcomes import Outcome, assess
from tests.faults.questions import Question


def question(number: int) -> Question:
    id_ = f"qt1x{number}"
    return Question(id_, f"The beginning of {id_}.\n\nThe end of {id_}.", 1.0, message_id=number + 1)


QUESTIONS = [question(number) for number in range(3)]
COMPLETE_ANSWERS = [BotMessage(question_.answer) for question_ in QUESTIONS]
HALF_ANSWER = BotMessage("The beginning of qt1x0.")
UNCERTAIN_NOTICE = BotMessage(texts.DELIVERY_UNCERTAIN)


def outcomes(*messages: BotMessage) -> list[Outcome]:
    return list(assess(QUESTIONS, messages, private=True).by_question.values())


def test_visible_answers_are_complete() -> None:
    assert outcomes(*COMPLETE_ANSWERS) == [Outcome.COMPLETE] * 3


def test_missing_answer_is_lost() -> None:
    assert outcomes(COMPLETE_ANSWERS[0], COMPLETE_ANSWERS[2]) == [Outcome.COMPLETE, Outcome.LOST, Outcome.COMPLETE]


def test_half_answer_is_partial() -> None:
    assert outcomes(HALF_ANSWER, COMPLETE_ANSWERS[1], COMPLETE_ANSWERS[2]) == [
        Outcome.PARTIAL,
        Outcome.COMPLETE,
        Outcome.COMPLETE,
    ]


def test_notice_belongs_to_partial_answer_above() -> None:
    assert outcomes(HALF_ANSWER, UNCERTAIN_NOTICE, UNCERTAIN_NOTICE, COMPLETE_ANSWERS[2]) == [
        Outcome.NOTIFIED,
        Outcome.NOTIFIED,
        Outcome.COMPLETE,
    ]


def test_notice_after_complete_answer_belongs_to_next_question() -> None:
    assert outcomes(COMPLETE_ANSWERS[0], UNCERTAIN_NOTICE, COMPLETE_ANSWERS[2]) == [
        Outcome.COMPLETE,
        Outcome.NOTIFIED,
        Outcome.COMPLETE,
    ]


def test_repeated_answer_is_duplicated() -> None:
    assert outcomes(COMPLETE_ANSWERS[0], COMPLETE_ANSWERS[0], *COMPLETE_ANSWERS[1:]) == [
        Outcome.DUPLICATED,
        Outcome.COMPLETE,
        Outcome.COMPLETE,
    ]
