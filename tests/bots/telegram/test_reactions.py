"""Marks of questions: which ones have them, and chats that allow none."""

from collections.abc import Sequence
from typing import cast

import pytest
from telegram import Bot
from telegram.error import BadRequest, Forbidden, NetworkError, TelegramError

from bots.telegram.reactions import REFUSED_SECONDS, WAITING_EMOJI, Reactions
from core.errors import DeliveryError, DeliveryFailure
from core.port import EventKind, Incoming, Place, Sender
from tests.bots.telegram.conftest import GROUP_PLACE, PRIVATE_PLACE
from tests.clock import FakeClock

SEEN = "👍"
FOREIGN_PLACE = Place("telegram", "123456", "42", thread="inline-x1", is_foreign=True)
OTHER_GROUP = Place("telegram", "123456", "-1005")


class FakeBot:
    def __init__(self) -> None:
        self.reactions: list[tuple[int, int, list[str]]] = []
        self.error: TelegramError | None = None

    async def set_message_reaction(self, chat: int, message: int, emoji: Sequence[str]) -> None:
        self.reactions.append((chat, message, list(emoji)))
        if self.error is not None:
            raise self.error


class Environment:
    def __init__(self, seen_emoji: str = SEEN) -> None:
        self.bot, self.clock = FakeBot(), FakeClock()
        self.reactions = Reactions(cast("Bot", self.bot), seen_emoji, self.clock)

    async def mark_seen(self, place: Place = GROUP_PLACE) -> None:
        await self.reactions.mark_seen(question(place))

    async def refuse_once(self, error: TelegramError) -> None:
        self.bot.error = error
        await self.mark_seen()
        self.bot.error = None
        self.bot.reactions.clear()


def question(
    place: Place, kind: EventKind = EventKind.PROMPT, text: str = "hi", command: str = "", message_id: str | None = "8"
) -> Incoming:
    return Incoming(kind, "u1", place, Sender("telegram", "42", "Ada"), text, message_id, command)


@pytest.mark.parametrize(
    ("incoming", "is_marked"),
    [
        (question(GROUP_PLACE), True),
        (question(PRIVATE_PLACE), False),
        (question(FOREIGN_PLACE), False),
        (question(GROUP_PLACE, message_id=None), False),
        (question(GROUP_PLACE, EventKind.COMMAND, command="ask"), True),
        (question(GROUP_PLACE, EventKind.COMMAND, command="compare"), True),
        (question(GROUP_PLACE, EventKind.COMMAND, " ", "compare"), False),
        (question(GROUP_PLACE, EventKind.COMMAND, command="model"), False),
        (question(GROUP_PLACE, EventKind.EDIT), False),
    ],
)
def test_questions_in_groups_are_marked_as_seen(incoming: Incoming, is_marked: bool) -> None:
    assert Environment().reactions.marks_seen(incoming) is is_marked
    assert not Environment("").reactions.marks_seen(incoming), "the operator wants none"


async def test_mark_is_the_reaction_that_the_operator_chose() -> None:
    env = Environment()
    await env.mark_seen()
    assert env.bot.reactions == [(-1001, 8, [SEEN])]


@pytest.mark.parametrize(
    ("place", "seen_emoji", "is_marked"),
    [(PRIVATE_PLACE, SEEN, True), (GROUP_PLACE, "", True), (PRIVATE_PLACE, "", True), (GROUP_PLACE, SEEN, False)],
)
async def test_question_that_waits_is_marked_unless_it_is_marked_as_seen(
    place: Place, seen_emoji: str, is_marked: bool
) -> None:
    env = Environment(seen_emoji)
    for is_waiting in (True, False):
        await env.reactions.mark_waiting(place, "8", is_waiting=is_waiting)
    assert [emoji for _, _, emoji in env.bot.reactions] == [[WAITING_EMOJI], []] * is_marked


@pytest.mark.parametrize(
    "error", [BadRequest("Reactions_Disabled"), BadRequest("Not enough rights to react"), Forbidden("blocked")]
)
async def test_chat_that_allows_no_reactions_is_left_alone_for_an_hour(error: TelegramError) -> None:
    env = Environment()
    await env.refuse_once(error)
    await env.mark_seen()
    assert env.bot.reactions == []
    with pytest.raises(DeliveryError) as caught:
        await env.reactions.mark_waiting(GROUP_PLACE, "8", is_waiting=True)
    assert caught.value.failure is DeliveryFailure.FORBIDDEN
    await env.reactions.mark_waiting(GROUP_PLACE, "8", is_waiting=False)
    await env.mark_seen(OTHER_GROUP)
    assert env.bot.reactions == [(-1005, 8, [SEEN])]
    await env.clock.advance(REFUSED_SECONDS)
    await env.mark_seen()
    assert len(env.bot.reactions) == 2


async def test_refusal_about_one_message_concerns_no_other() -> None:
    env = Environment()
    await env.refuse_once(BadRequest("Message to react not found"))
    await env.mark_seen()
    await env.reactions.mark_waiting(GROUP_PLACE, "8", is_waiting=True)
    assert len(env.bot.reactions) == 1


async def test_failure_that_may_pass_is_raised() -> None:
    env = Environment()
    with pytest.raises(NetworkError):
        await env.refuse_once(NetworkError("lost"))
    env.bot.error = None
    await env.mark_seen()
    assert len(env.bot.reactions) == 2
