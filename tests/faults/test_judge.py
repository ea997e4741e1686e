"""The judge himself: what stands on a platform, and what is to be said of it."""

from core.turns import words
from tests.faults.judge import Fate, judge
from tests.faults.questions import Question
from tests.faults.rooms import Said


def question(number: int) -> Question:
    id_ = f"qt1x{number}"
    return Question(id_, f"The beginning of {id_}.\n\nThe end of {id_}.", 1.0, message=number + 1)


ASKED = [question(number) for number in range(3)]
WHOLE = [Said(one.answer) for one in ASKED]
HALF = Said("The beginning of qt1x0.")
DOUBT = Said(words.DOUBT)


def fates(*said: Said) -> list[Fate]:
    return list(judge(ASKED, said, private=True).fates.values())


def test_answers_that_stand_are_whole() -> None:
    assert fates(*WHOLE) == [Fate.WHOLE] * 3


def test_what_is_missing_is_lost() -> None:
    assert fates(WHOLE[0], WHOLE[2]) == [Fate.WHOLE, Fate.LOST, Fate.WHOLE]


def test_half_of_an_answer_is_not_whole() -> None:
    assert fates(HALF, WHOLE[1], WHOLE[2]) == [Fate.PART, Fate.WHOLE, Fate.WHOLE]


def test_a_word_about_what_is_missing_is_of_the_answer_it_stands_under() -> None:
    assert fates(HALF, DOUBT, DOUBT, WHOLE[2]) == [Fate.TOLD, Fate.TOLD, Fate.WHOLE]


def test_a_word_under_a_whole_answer_is_of_the_next_that_is_missing() -> None:
    assert fates(WHOLE[0], DOUBT, WHOLE[2]) == [Fate.WHOLE, Fate.TOLD, Fate.WHOLE]


def test_the_same_answer_again_is_too_many() -> None:
    assert fates(WHOLE[0], WHOLE[0], *WHOLE[1:]) == [Fate.TWICE, Fate.WHOLE, Fate.WHOLE]
