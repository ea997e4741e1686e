"""Strangers get one short answer, and the operators decide on their requests."""

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import Connection, update

from bots.sandbox.model import ModelStandIn
from core.errors import AccessDeniedError
from core.port import Button, EventKind, Incoming, Part, Place, Sender
from core.retention import DAY_SECONDS, REQUEST_DAYS, batch_deletions
from core.store.access_requests import MAX_PENDING, count_pending
from core.store.grants import Role, add_member, ban, grant, revoke, roles_by_subject
from core.store.schema import access_requests
from core.texts import access as texts
from core.texts.answers import ACCESS_DENIED
from core.timings import Timings
from tests.core.turns.fake_adapter import FakeAdapter, running_engine

OPERATOR, SECOND_OPERATOR = "5", "6"


def shift_announcements(connection: Connection, seconds: float) -> None:
    connection.execute(update(access_requests).values(announced_at=access_requests.c.announced_at + seconds))


class PrivateChatAdapter(FakeAdapter):
    """Writes to people in private. `chats` has the texts of each chat, `parts` what each message shows."""

    def __init__(self) -> None:
        super().__init__()
        self.chats: dict[str, list[str]] = {}
        self.buttons: dict[str, tuple[Button, ...]] = {}

    async def open_private_chat(self, user: str) -> Place:
        return Place(self.platform, self.account, user, is_private=True)

    async def send(self, place: Place, part: Part, **options: object) -> str:
        message_id = await super().send(place, part, **options)  # type: ignore[arg-type]
        self.chats.setdefault(place.chat, []).append(message_id)
        self.buttons[message_id] = part.buttons
        return message_id

    async def edit(self, place: Place, message_id: str, part: Part, **options: object) -> None:
        self.buttons[message_id] = part.buttons
        await super().edit(place, message_id, part)

    def texts_in(self, chat: str) -> list[str]:
        return [self.messages[message_id] for message_id in self.chats.get(chat, [])]

    def last_message(self, chat: str) -> str:
        return self.chats[chat][-1]

    def action(self, message_id: str, label: str) -> str:
        return next(button.action for button in self.buttons[message_id] if button.label == label)

    async def write_as_stranger(
        self, user: str, text: str = "let me in", *, name: str = "Eve", group: str = ""
    ) -> None:
        place = Place(self.platform, self.account, group or user, is_private=not group)
        event = Incoming(EventKind.PROMPT, f"s{next(self._numbers)}", place, Sender(self.platform, user, name), text)
        with pytest.raises(AccessDeniedError):
            await self.inbox(event)

    async def wait_for_text_in(self, chat: str, text: str) -> None:
        await self.wait_until(lambda: any(text in message for message in self.texts_in(chat)))

    async def roles(self) -> dict[str, Role]:
        return await self.store.read(roles_by_subject)


@asynccontextmanager
async def private_bot(
    folder: Path, model: ModelStandIn, *operators: str, timings: Timings = Timings()
) -> AsyncIterator[PrivateChatAdapter]:
    adapter = PrivateChatAdapter()
    async with running_engine(folder, model, adapter, access="pairing", timings=timings):
        for operator in operators:
            await adapter.store.write(grant, f"fake:person:{operator}", Role.OPERATOR, f"Operator {operator}")
        yield adapter


async def test_stranger_is_answered_once_and_let_in_by_the_operator(tmp_path: Path, model: ModelStandIn) -> None:
    async with private_bot(tmp_path, model, OPERATOR) as adapter:
        for text in ("my secret question", "hello?", "hello??"):
            await adapter.write_as_stranger("77", text)
        await adapter.wait_for_text_in("77", texts.ACCESS_REQUESTED)
        await adapter.wait_for_text_in(OPERATOR, "`Eve` wants to use this bot: `fake:person:77`")
        request = adapter.last_message(OPERATOR)
        assert "secret" not in str(adapter.messages)
        await adapter.press(adapter.action(request, "Approve"), request, user=OPERATOR)
        await adapter.wait_for_text_in("77", texts.ACCESS_GRANTED)
        assert adapter.texts_in(OPERATOR) == ["Approved: `Eve` can use this bot now."]
        assert await adapter.ask("repeat: welcome", user="77") == "welcome"
        assert adapter.texts_in("77")[0] == texts.ACCESS_REQUESTED
        assert len(adapter.texts_in("77")) == 3


async def test_refused_stranger_hears_nothing_more(tmp_path: Path, model: ModelStandIn) -> None:
    async with private_bot(tmp_path, model, OPERATOR) as adapter:
        await adapter.write_as_stranger("77")
        await adapter.wait_for_text_in(OPERATOR, "Eve")
        request = adapter.last_message(OPERATOR)
        await adapter.press(adapter.action(request, "Decline"), request, user=OPERATOR)
        await adapter.wait_for_text_in(OPERATOR, "Declined: `Eve`.")
        await adapter.write_as_stranger("77")
        assert await adapter.ask("repeat: done", user=OPERATOR) == "done"
        assert adapter.texts_in("77") == [texts.ACCESS_REQUESTED]
        assert "fake:person:77" not in await adapter.roles()


async def test_second_operator_learns_who_decided(tmp_path: Path, model: ModelStandIn) -> None:
    async with private_bot(tmp_path, model, OPERATOR, SECOND_OPERATOR) as adapter:
        await adapter.write_as_stranger("77")
        for operator in (OPERATOR, SECOND_OPERATOR):
            await adapter.wait_for_text_in(operator, "Eve")
        first, second = adapter.last_message(OPERATOR), adapter.last_message(SECOND_OPERATOR)
        approve = adapter.action(second, "Approve")
        await adapter.press(approve, first, user=OPERATOR)
        await adapter.wait_for_text_in(OPERATOR, "Approved")
        await adapter.press(adapter.action(second, "Decline"), second, user=SECOND_OPERATOR)
        await adapter.wait_for_text_in(SECOND_OPERATOR, "`Ann` has already approved `Eve`.")
        assert (await adapter.roles())["fake:person:77"] is Role.MEMBER


@pytest.mark.parametrize("presser", ["member", "removed operator"])
async def test_only_operators_decide(tmp_path: Path, model: ModelStandIn, presser: str) -> None:
    async with private_bot(tmp_path, model, OPERATOR) as adapter:
        await adapter.write_as_stranger("77")
        await adapter.wait_for_text_in(OPERATOR, "Eve")
        request = adapter.last_message(OPERATOR)
        approve = adapter.action(request, "Approve")
        user = OPERATOR if presser == "removed operator" else "8"
        if presser == "removed operator":
            await adapter.store.write(revoke, f"fake:person:{OPERATOR}")
        await adapter.store.write(add_member, f"fake:person:{user}")
        adapter.inbox.access_control.invalidate()  # type: ignore[attr-defined]
        before = dict(adapter.messages)
        await adapter.press(approve, request, user=user)
        await adapter.say("/access_requests", user=user)
        assert await adapter.ask("repeat: done", user=user) == "done"
        assert {**before} == {key: text for key, text in adapter.messages.items() if text != "done"}
        assert "fake:person:77" not in await adapter.roles()


async def test_many_strangers_are_summarised(tmp_path: Path, model: ModelStandIn) -> None:
    """The database's clock decides when the next message may be sent, so its time is shifted."""
    async with private_bot(tmp_path, model, OPERATOR) as adapter:
        await adapter.write_as_stranger("70", name="Eve 0")
        await adapter.wait_for_text_in(OPERATOR, "Eve 0")
        for number in range(1, 8):
            await adapter.write_as_stranger(f"7{number}", name=f"Eve {number}")
            await adapter.wait_for_text_in(f"7{number}", texts.ACCESS_REQUESTED)
        assert len(adapter.texts_in(OPERATOR)) == 1
        await adapter.store.write(shift_announcements, -Timings().request_notice_interval)
        await adapter.write_as_stranger("78", name="Eve 8")
        await adapter.wait_for_text_in(OPERATOR, "9 people want to use this bot")
        summary = adapter.last_message(OPERATOR)
        assert [button.label for button in adapter.buttons[summary]] == [
            *("Approve 1", "Approve 2", "Approve 3"),
            *("Decline 1", "Decline 2", "Decline 3"),
        ]
        assert "6 more are waiting" in adapter.messages[summary]
        await adapter.press(adapter.action(summary, "Approve 2"), summary, user=OPERATOR)
        await adapter.wait_until(lambda: "Approved: `Eve 1`" in adapter.messages[summary])
        assert "8 people" in adapter.messages[summary]
        assert "Eve 3" in adapter.messages[summary]


async def test_no_operator_no_request(tmp_path: Path, model: ModelStandIn) -> None:
    async with private_bot(tmp_path, model) as adapter:
        await adapter.write_as_stranger("77")
        await adapter.wait_for_text_in("77", ACCESS_DENIED)


@pytest.mark.parametrize(
    ("operators", "text"), [((OPERATOR,), texts.ACCESS_REQUESTED), ((), ACCESS_DENIED)], ids=["operator", "none"]
)
async def test_refusal_says_whether_an_operator_is_asked(
    tmp_path: Path, model: ModelStandIn, operators: tuple[str, ...], text: str
) -> None:
    async with private_bot(tmp_path, model, *operators) as adapter:
        place, sender = Place(adapter.platform, adapter.account, "77", is_private=True), Sender("fake", "77", "Eve")
        with pytest.raises(AccessDeniedError, match=re.escape(text)):
            await adapter.inbox(Incoming(EventKind.PROMPT, "s1", place, sender, "let me in"))


async def test_requests_are_bounded(tmp_path: Path, model: ModelStandIn) -> None:
    async with private_bot(tmp_path, model) as adapter:
        for number in range(MAX_PENDING + 5):
            await adapter.write_as_stranger(f"1{number}")
        await adapter.wait_until(lambda: len(adapter.messages) == MAX_PENDING)
        await adapter.store.write(grant, "fake:person:5", Role.OPERATOR, "Olga")
        adapter.inbox.access_control.invalidate()  # type: ignore[attr-defined]
        assert await adapter.ask("repeat: done", user=OPERATOR) == "done"
        assert len(adapter.messages) == MAX_PENDING + 1


async def test_name_of_a_stranger_is_data(tmp_path: Path, model: ModelStandIn) -> None:
    name = "**b** `x` [a](https://e.example) @all\u202e\n# ok" + "x" * 300
    async with private_bot(tmp_path, model, OPERATOR) as adapter:
        await adapter.write_as_stranger("77", name=name)
        await adapter.wait_for_text_in(OPERATOR, "wants to use this bot")
        (text,) = adapter.texts_in(OPERATOR)
        assert text == "`**b** x [a](https://e.example) @all #` wants to use this bot: `fake:person:77`"


async def test_stranger_may_ask_again_after_the_request_has_expired(tmp_path: Path, model: ModelStandIn) -> None:
    async with private_bot(tmp_path, model, OPERATOR) as adapter:
        await adapter.write_as_stranger("77")
        await adapter.wait_for_text_in("77", texts.ACCESS_REQUESTED)

        def sweep(connection: Connection, now: float) -> None:
            for delete_batch in batch_deletions(adapter.services.settings, now, now):
                delete_batch(connection)

        now = time.time()
        for days, count in ((REQUEST_DAYS - 1, 1), (REQUEST_DAYS + 1, 0)):
            await adapter.store.write(sweep, now + days * DAY_SECONDS)
            assert await adapter.store.read(count_pending) == count


async def test_request_of_a_banned_person_disappears(tmp_path: Path, model: ModelStandIn) -> None:
    async with private_bot(tmp_path, model, OPERATOR) as adapter:
        await adapter.write_as_stranger("77")
        await adapter.wait_for_text_in(OPERATOR, "Eve")
        request = adapter.last_message(OPERATOR)
        await adapter.store.write(ban, "fake:person:77")
        await adapter.press(adapter.action(request, "Approve"), request, user=OPERATOR)
        await adapter.wait_for_text_in(OPERATOR, texts.REQUEST_EXPIRED)
        assert (await adapter.roles())["fake:person:77"] is Role.BANNED
