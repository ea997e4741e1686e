"""The judge himself: what stands on a platform, and what is to be said of it."""

from core.turns import texts
from tests.faults.chat_clients import BotMessage
from tests.faults.outcomes import Outcome, assess
from tests.faults.questions import Question


def question(number: int) -> Question:
    id_ = f"qt1x{number}"
    return Question(id_, f"The beginning of {id_}.\n\nThe end of {id_}.", 1.0, message_id=number + 1)


ASKED = [question(number) for number in range(3)]
WHOLE = [BotMessage(one.answer) for one in ASKED]
HALF = BotMessage("The beginning of qt1x0.")
DOUBT = BotMessage(texts.DELIVERY_UNCERTAIN)


def outcomes(*said: BotMessage) -> list[Outcome]:
    return list(assess(ASKED, said, private=True).by_question.values())


def test_visible_answers_are_complete() -> None:
    assert outcomes(*WHOLE) == [Outcome.COMPLETE] * 3


def test_missing_answer_is_lost() -> None:
    assert outcomes(WHOLE[0], WHOLE[2]) == [Outcome.COMPLETE, Outcome.LOST, Outcome.COMPLETE]


def test_half_answer_is_partial() -> None:
    assert outcomes(HALF, WHOLE[1], WHOLE[2]) == [
        Outcome.PARTIAL,
        Outcome.COMPLETE,
        Outcome.COMPLETE,
    ]


def test_notice_belongs_to_partial_answer_above() -> None:
    assert outcomes(HALF, DOUBT, DOUBT, WHOLE[2]) == [
        Outcome.NOTIFIED,
        Outcome.NOTIFIED,
        Outcome.COMPLETE,
    ]


def test_notice_after_complete_answer_belongs_to_next_question() -> None:
    assert outcomes(WHOLE[0], DOUBT, WHOLE[2]) == [
        Outcome.COMPLETE,
        Outcome.NOTIFIED,
        Outcome.COMPLETE,
    ]


def test_repeated_answer_is_duplicated() -> None:
    assert outcomes(WHOLE[0], WHOLE[0], *WHOLE[1:]) == [
        Outcome.DUPLICATED,
        Outcome.COMPLETE,
        Outcome.COMPLETE,
    ]
