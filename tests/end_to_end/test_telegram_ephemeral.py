"""In groups on Telegram, only the person sees notices and the answers to personal commands, where Telegram can do that."""

from typing import Any

from bots.sandbox.stand_in import ScriptedReply
from bots.sandbox.telegram.state import Chat, Message, User
from core.texts.answers import QUESTION_WAITS
from tests.end_to_end.chat_with_buttons import NO_OPEN_TURN
from tests.end_to_end.harness import Harness
from tests.end_to_end.spec_checks import spec_violations

PARAMETER = "ephemeral_message_parameters"


class Group:
    """Ann, who manages it, and Bob."""

    def __init__(self, harness: Harness) -> None:
        self.harness, self.telegram = harness, harness.telegram
        self.ann, self.bob = (self.telegram.create_user(name) for name in ("Ann", "Bob"))
        self.chat = self.create_chat()

    def create_chat(self) -> Chat:
        return self.telegram.create_supergroup("Friends", self.ann, self.bob)

    async def say(self, person: User, text: str, chat: Chat | None = None) -> Message:
        """Returns the bot's next message."""
        chat = chat or self.chat
        count = len(self.of_bot(chat))
        await self.telegram.send_message(person, chat, text)
        await self.telegram.wait_for(lambda: len(self.of_bot(chat)) > count, 30)
        await self.harness.wait_until_stored(NO_OPEN_TURN)
        return self.of_bot(chat)[-1]

    def of_bot(self, chat: Chat) -> list[Message]:
        return [message for message in self.telegram.messages(chat) if message.from_bot]

    async def press(self, person: User, message: Message, label: str) -> None:
        before = message.text
        action = next(button["callback_data"] for button in message.buttons if button["text"].endswith(label))
        await self.telegram.press_button(person, message, action)
        await self.telegram.wait_for(lambda: message.text != before, 30)
        await self.harness.wait_until_stored(NO_OPEN_TURN)

    @property
    def attempts(self) -> list[Any]:
        """Calls that ask for an ephemeral message."""
        return [call for call in self.telegram.calls if PARAMETER in call.params]


async def test_personal_commands_are_answered_for_the_person_alone(harness: Harness) -> None:
    group = Group(harness)
    usage = await group.say(group.bob, "/usage")
    assert usage.receiver is group.bob
    answer = await group.say(group.bob, f"@{harness.telegram.bot.username} repeat: for everybody")
    assert (answer.receiver, answer.text) == (None, "for everybody")
    private = harness.telegram.open_private_chat(group.bob)
    assert (await group.say(group.bob, "/usage", private)).receiver is None
    assert [call.params["chat_id"] for call in group.attempts] == [group.chat.id]
    assert not spec_violations(harness)


async def test_reply_to_a_deleted_message_is_for_the_person_alone(harness: Harness) -> None:
    """The message with the API key is deleted before the reply to it."""
    await harness.stop()
    await harness.start(secret_key="a passphrase")
    group = Group(harness)
    await harness.telegram.promote_bot(group.ann, group.chat)
    reply = await group.say(group.bob, "/key wrong-key-123456")
    assert "Replace the key" in reply.text
    assert reply.receiver is group.bob
    assert "wrong-key-123456" not in harness.telegram.transcript(group.chat)


async def test_panel_is_changed_in_place_and_others_see_what_concerns_them(harness: Harness) -> None:
    group = Group(harness)
    panel = await group.say(group.bob, "/settings")
    await group.press(group.bob, panel, "Effort")
    await group.press(group.bob, panel, "high")
    assert panel.text.startswith("Effort: high")
    assert group.of_bot(group.chat) == [panel], "his own setting"
    assert not spec_violations(harness)


async def test_change_for_everybody_is_announced_beside_the_panel(harness: Harness) -> None:
    group = Group(harness)
    panel = await group.say(group.ann, "/settings")
    await harness.stop()
    await harness.start()
    await group.press(group.ann, panel, "Share")
    count = len(group.of_bot(group.chat))
    on = next(button["callback_data"] for button in panel.buttons if button["text"].endswith("on"))
    await harness.telegram.press_button(group.ann, panel, on)
    await harness.telegram.wait_for(lambda: len(group.of_bot(group.chat)) > count, 30)
    announcement = group.of_bot(group.chat)[-1]
    assert (announcement.receiver, "Ann" in announcement.text) == (None, True)
    await harness.telegram.wait_for(lambda: "Share: on (" in panel.text, 30)
    assert not spec_violations(harness)


async def test_refusals_and_limits_are_for_the_person_alone(harness: Harness) -> None:
    await harness.stop()
    await harness.start(person_messages=1)
    group = Group(harness)
    mention = f"@{harness.telegram.bot.username}"
    await group.say(group.bob, f"{mention} repeat: one")
    refusal = await group.say(group.bob, f"{mention} repeat: two")
    assert "reached today's limit" in refusal.text
    assert refusal.receiver is group.bob
    assert (await group.say(group.ann, f"{mention} repeat: hers")).receiver is None


async def test_server_that_ignores_the_parameter_is_asked_once(harness: Harness) -> None:
    harness.telegram.has_ephemeral_messages = False
    group = Group(harness)
    panel = await group.say(group.bob, "/settings")
    assert panel.receiver is None
    await group.press(group.bob, panel, "Effort")
    assert panel.text.startswith("Effort"), "in place, as before"
    await group.say(group.bob, "/usage")
    await group.say(group.bob, "/usage", group.create_chat())
    assert len(group.attempts) == 1
    assert len(group.of_bot(group.chat)) == 2


async def test_chat_that_refuses_them_gets_messages_for_everybody(harness: Harness) -> None:
    group = Group(harness)
    refusal = {"ok": False, "error_code": 400, "description": "Bad Request: EPHEMERAL_NOT_ALLOWED"}
    harness.telegram.script.add("sendMessage", ScriptedReply(400, refusal))
    assert (await group.say(group.bob, "/usage")).receiver is None
    assert (await group.say(group.bob, "/usage")).receiver is None
    assert len(group.attempts) == 1
    assert (await group.say(group.bob, "/usage", group.create_chat())).receiver is group.bob


async def test_refusal_of_one_person_says_nothing_about_the_group(harness: Harness) -> None:
    """People who have not joined a group may comment in it."""
    group = Group(harness)
    refusal = {"ok": False, "error_code": 400, "description": "Bad Request: user not found"}
    harness.telegram.script.add("sendMessage", ScriptedReply(400, refusal))
    assert (await group.say(group.ann, "/usage")).receiver is None
    assert (await group.say(group.bob, "/usage")).receiver is group.bob


async def test_reasoning_is_for_each_person_alone_after_a_restart(harness: Harness) -> None:
    group = Group(harness)
    await group.say(group.ann, "/settings share on")
    await group.say(group.ann, f"@{harness.telegram.bot.username} think")
    answer = group.of_bot(group.chat)[-1]
    data = next(button["callback_data"] for button in answer.buttons if button["text"] == "Reasoning")
    for person in (group.ann, group.bob):
        await harness.telegram.press_button(person, answer, data)
        await harness.telegram.wait_for(lambda: group.of_bot(group.chat)[-1].receiver is person, 30)  # noqa: B023
        await harness.wait_until_stored(NO_OPEN_TURN)
        await harness.stop()
        await harness.start()
    assert [message.receiver for message in group.of_bot(group.chat)[-2:]] == [group.ann, group.bob]


async def test_anonymous_administrator_is_answered_before_everybody(harness: Harness) -> None:
    group = Group(harness)
    await harness.telegram.send_message(group.ann, group.chat, "/usage", sender_chat=group.chat.json())
    await harness.telegram.wait_for(lambda: group.of_bot(group.chat))
    assert group.of_bot(group.chat)[0].receiver is None
    assert not group.attempts


async def test_greeting_is_for_everybody(harness: Harness) -> None:
    group = Group(harness)
    await harness.telegram.add_bot(group.ann, group.chat)
    await harness.telegram.wait_for(lambda: group.of_bot(group.chat))
    assert group.of_bot(group.chat)[0].receiver is None


async def export(group: Group, *, expected: int) -> list[Message]:
    """The files that Ann's /export in the group sends, there or to her private chat."""
    private = group.telegram.open_private_chat(group.ann)
    await group.telegram.send_message(group.ann, group.chat, "/export")

    def files() -> list[Message]:
        return [message for chat in (group.chat, private) for message in group.of_bot(chat) if message.file_name]

    await group.telegram.wait_for(lambda: len(files()) == expected, 30)
    await group.harness.wait_until_stored(NO_OPEN_TURN)
    return files()


async def test_export_in_a_group_goes_to_the_person_alone(harness: Harness) -> None:
    group = Group(harness)
    await group.say(group.ann, f"@{harness.telegram.bot.username} repeat: hello")
    in_private = await export(group, expected=2)
    assert {file.chat.is_private for file in in_private} == {True}, "it is not known yet whether others would see it"
    notice = group.of_bot(group.chat)[-1]
    assert notice.receiver is group.ann
    assert "press Start" in notice.text
    in_group = (await export(group, expected=4))[:2]
    assert [file.receiver for file in in_group] == [group.ann] * 2
    contents = {harness.telegram.document_content(file) for file in in_group}
    assert contents == {harness.telegram.document_content(file) for file in in_private}
    assert b"## Ann" in min(contents, key=len) + max(contents, key=len)
    assert not spec_violations(harness)


async def test_export_of_an_older_server_is_sent_to_nobody_else(harness: Harness) -> None:
    harness.telegram.has_ephemeral_messages = False
    group = Group(harness)
    await group.say(group.ann, f"@{harness.telegram.bot.username} repeat: hello")
    for count in (2, 4):
        assert {file.chat.is_private for file in await export(group, expected=count)} == {True}


async def test_export_command_of_the_bot_itself_exports_nothing_for_people(harness: Harness) -> None:
    group = Group(harness)
    await group.say(group.ann, f"@{harness.telegram.bot.username} repeat: hello")
    await export(group, expected=2)
    private = harness.telegram.open_private_chat(group.ann)
    for person in (group.ann, group.bob):
        chat = harness.telegram.open_private_chat(person)
        for number in range(1, 6):
            await harness.telegram.send_message(person, chat, f"/private_export {number}")
        await harness.wait_until_stored(NO_OPEN_TURN)
    await group.say(group.bob, "/usage", harness.telegram.open_private_chat(group.bob))
    files = [
        m
        for chat in (private, harness.telegram.open_private_chat(group.bob))
        for m in group.of_bot(chat)
        if m.file_name
    ]
    assert len(files) == 2


async def test_person_alone_reads_that_a_question_waits_where_reactions_are_off(harness: Harness) -> None:
    await harness.stop()
    await harness.start(telegram_preview="off")  # previews would delay the notice
    group, model = Group(harness), harness.model
    group.chat.allows_reactions = False
    model.tokens_per_second = 20
    model.answer = lambda body: "word " * (60 if "long" in str(body["messages"][-1]["content"]) else 1)
    for text in ("/ask a long one", "/ask another one"):
        await harness.telegram.send_message(group.bob, group.chat, text)
    await harness.telegram.wait_for(lambda: any(m.text == QUESTION_WAITS for m in group.of_bot(group.chat)), 30)
    await harness.wait_until_stored(NO_OPEN_TURN)
    notice, *answers = group.of_bot(group.chat)
    assert (notice.text, notice.receiver) == (QUESTION_WAITS, group.bob)
    assert [answer.receiver for answer in answers] == [None, None]
    assert not spec_violations(harness)
