"""/ask with the option `private`: only the person sees the question and the answer, and nothing of them leaks."""

import contextlib
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bots.discord.payloads import CUSTOM_ID_PREFIX
from bots.sandbox.discord.enums import ComponentType, InteractionType
from core.buttons import ButtonAction
from core.texts import answers, transfer
from core.turns.button_actions import TURN_ACTIONS
from tests.end_to_end.chat_with_buttons import NO_OPEN_TURN, ChatWithButtons, answer_by_count, conversation
from tests.end_to_end.harness import Harness, bot_texts
from tests.end_to_end.spec_checks import spec_violations
from tests.waiting import wait_until

SECRET = "the secret answer"


async def ask_in_private(harness: Harness, user: Any, channel: Any, text: str = f"repeat: {SECRET}") -> Any:
    """Returns the message with the complete answer."""
    interaction = await harness.discord.use_command(user, channel, "ask", prompt=text, private=True)
    answer = text.removeprefix("repeat: ")
    await harness.discord.wait_for(lambda: answer in bot_texts(interaction.responses))
    await harness.discord.wait_for(lambda: "stop:" not in str(interaction.responses[0].components))
    return interaction.responses[0]


def public_texts(harness: Harness, channel: Any) -> list[str]:
    return bot_texts([message for message in harness.discord.messages(channel) if message.ephemeral_to is None])


async def test_nobody_else_sees_a_private_question(harness: Harness) -> None:
    discord = harness.discord
    olga, ann, bob = (discord.create_user(name) for name in ("Olga", "Ann", "Bob"))
    channel = discord.create_channel(discord.create_guild("Home", olga, ann, bob), "general")
    await discord.use_command(olga, channel, "settings", name="share", value="on")
    await discord.wait_for(lambda: public_texts(harness, channel))
    before = public_texts(harness, channel)
    answer = await ask_in_private(harness, ann, channel)
    assert answer.ephemeral_to == ann.id
    assert public_texts(harness, channel) == before

    await discord.send_message(bob, channel, f"{discord.mention} repeat: for Bob")
    await discord.wait_for(lambda: "for Bob" in public_texts(harness, channel))
    assert SECRET not in str(harness.model.requests[-1].body), "although the channel shares one conversation"
    await ask_in_private(harness, ann, channel, "repeat: more")
    assert SECRET in str(harness.model.requests[-1].body), "private questions follow each other"
    await discord.use_command(ann, channel, "retry")
    await discord.wait_for(lambda: public_texts(harness, channel).count("for Bob") == 2)
    assert not spec_violations(harness)


async def test_managers_reach_no_private_answer_by_forged_presses(harness: Harness, tmp_path: Path) -> None:
    discord = harness.discord
    olga, ann = discord.create_user("Olga"), discord.create_user("Ann")
    channel = discord.create_channel(discord.create_guild("Home", olga, ann), "general")
    answer = await ask_in_private(harness, ann, channel)
    requests = len(harness.model.requests)
    presses = []
    for action in (*TURN_ACTIONS, ButtonAction.RETRY, ButtonAction.RETRY_WITH, ButtonAction.CONTINUE):
        data = {"custom_id": f"{CUSTOM_ID_PREFIX}{action}:1", "component_type": ComponentType.BUTTON}
        forged = await discord._create_interaction(InteractionType.COMPONENT, olga, channel, data, message=answer)
        presses.append(forged)
    await discord.wait_for(lambda: all(press.acknowledged_at for press in presses))
    dm = discord.open_dm(ann)
    await discord.send_message(ann, dm, "repeat: sentinel")
    await discord.wait_for(lambda: "sentinel" in bot_texts(discord.messages(dm)))
    open_turns = "SELECT count(*) FROM turns WHERE finished_at IS NULL"
    with contextlib.closing(sqlite3.connect(tmp_path / "parley.sqlite3")) as database:
        await wait_until(lambda: database.execute(open_turns).fetchone() == (0,), 60)
    seen = [m for m in discord.messages(channel) if m.ephemeral_to in (None, olga.id) and m.from_bot]
    assert SECRET not in "".join(bot_texts(seen))
    assert len(harness.model.requests) == requests + 1


async def test_in_direct_messages_every_answer_is_private(harness: Harness) -> None:
    discord = harness.discord
    ann = discord.create_user("Ann")
    dm = discord.open_dm(ann)
    await discord.use_command(ann, dm, "ask", prompt=f"repeat: {SECRET}", private=True)
    await discord.wait_for(lambda: SECRET in public_texts(harness, dm))


class PrivateChannel:
    """A channel with others, in which Ann uses commands with the option `private`."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self.chat = ChatWithButtons(harness, "discord", others=("Bob",))

    async def use(self, command: str, answer: str, **options: Any) -> Any:
        """Returns the interaction after the response that begins with `answer`; nobody else sees it."""
        discord, channel = self.harness.discord, self.chat.chat
        before = public_texts(self.harness, channel)
        interaction = await discord.use_command(self.chat.person, channel, command, private=True, **options)
        await discord.wait_for(lambda: any(text.startswith(answer) for text in bot_texts(interaction.responses)), 30)
        await self.harness.wait_until_stored(NO_OPEN_TURN)
        assert public_texts(self.harness, channel) == before
        return interaction


async def test_retry_answers_the_private_question_again(harness: Harness) -> None:
    channel = PrivateChannel(harness)
    answer_by_count(harness)
    await channel.chat.ask("public question", "answer 1")
    await channel.use("ask", "answer 2", prompt="private question")
    await channel.use("retry", "answer 3")
    assert conversation(harness) == ["private question"]


async def test_context_and_export_are_about_the_private_conversation(harness: Harness) -> None:
    channel = PrivateChannel(harness)
    await channel.chat.ask("repeat: public", "public")
    await channel.use("export", transfer.NOTHING_TO_EXPORT)
    await channel.use("context", "")
    await channel.use("ask", "one", prompt="repeat: one")
    await channel.use("ask", "two", prompt="repeat: two")
    assert "messages (4)" in str(bot_texts((await channel.use("context", "")).responses))
    exported = (await channel.use("export", transfer.EXPORTED)).responses
    files = b"".join(content for message in exported for content in harness.discord.file_contents(message))
    assert b"repeat: two" in files
    assert b"public" not in files


async def test_notes_belong_to_the_private_conversation(harness: Harness) -> None:
    """Also where everybody shares the other one, which only managers may change."""
    channel = PrivateChannel(harness)
    discord = harness.discord
    owner = next(user for user in discord.users.values() if user.name == "Owner")
    await discord.use_command(owner, channel.chat.chat, "settings", name="share", value="on")
    await discord.wait_for(lambda: public_texts(harness, channel.chat.chat))
    await channel.use("remember", "", text="the walrus-note")
    assert "walrus-note" in str(bot_texts((await channel.use("memory", "")).responses))
    shared = await discord.use_command(channel.chat.person, channel.chat.chat, "memory")
    await discord.wait_for(lambda: bot_texts(shared.responses))
    assert "walrus-note" not in str(bot_texts(shared.responses))
    await channel.use("memory", "", action="delete", number="1")
    assert "walrus-note" not in str(bot_texts((await channel.use("memory", "")).responses))


@pytest.mark.parametrize("is_private", [False, True])
async def test_stop_ends_the_answer_of_its_conversation(harness: Harness, *, is_private: bool) -> None:
    harness.model.answer = lambda _body: "word " * 400
    harness.model.tokens_per_second = 20
    discord, chat = harness.discord, ChatWithButtons(harness, "discord", others=("Bob",))
    private = await discord.use_command(chat.person, chat.chat, "ask", prompt="private question", private=True)
    public = await discord.use_command(chat.person, chat.chat, "ask", prompt="public question")
    await discord.wait_for(lambda: len(harness.model.requests) == 2)
    await discord.wait_for(lambda: "word" in str(bot_texts(private.responses)))
    await discord.use_command(chat.person, chat.chat, "stop", **({"private": True} if is_private else {}))
    shown = {True: partial(bot_texts, private.responses), False: partial(public_texts, harness, chat.chat)}
    await discord.wait_for(lambda: answers.STOPPED in str(shown[is_private]()), 30)
    assert answers.STOPPED not in str(shown[not is_private]())
    assert public.acknowledged_at
    harness.model.tokens_per_second = 5000


async def test_new_begins_the_private_conversation_anew(harness: Harness) -> None:
    chat = ChatWithButtons(harness, "discord", others=("Bob",))
    await chat.ask("repeat: public", "public")
    for command, options, answer in (
        ("ask", {"prompt": "repeat: one"}, "one"),
        ("new", {}, "New conversation.*"),
        ("ask", {"prompt": "repeat: two"}, "two"),
    ):
        await chat.server.use_command(chat.person, chat.chat, command, private=True, **options)
        await chat.wait_for(answer)
    assert conversation(harness) == ["repeat: two"]
    assert "New conversation" not in chat.server.transcript(chat.chat, chat.others[0])
    await chat.ask("repeat: more", "more")
    assert conversation(harness) == ["repeat: public", "public", "repeat: more"], "the public one goes on"


async def test_two_models_answer_in_private(harness: Harness) -> None:
    channel = PrivateChannel(harness)
    models = {"first": "phi 4", "second": "mistral large"}
    compared = await channel.use("compare", "", **models, question="repeat: secret")
    shown = bot_texts(compared.responses)
    assert [text.partition("\n")[2].strip() for text in shown] == ["secret", "secret"]
    assert all(message.ephemeral_to == channel.chat.person.id for message in compared.responses)
    await channel.chat.ask("repeat: public", "public")
    assert conversation(harness) == ["repeat: public"]
    await channel.use("ask", "more", prompt="repeat: more")
    assert conversation(harness) == ["repeat: secret", "secret", "repeat: more"]
    assert not spec_violations(harness)


async def test_conversation_is_imported_into_the_private_one(harness: Harness) -> None:
    channel = PrivateChannel(harness)
    await channel.chat.ask("repeat: public", "public")
    await channel.use("ask", "one", prompt="repeat: one")
    exported = (await channel.use("export", transfer.EXPORTED)).responses
    files = {
        attachment["filename"]: content
        for message in exported
        for attachment, content in zip(message.attachments, harness.discord.file_contents(message), strict=True)
    }
    file = harness.discord.upload_attachment("conversation.json", files["conversation.json"])
    await channel.use("ask", "two", prompt="repeat: two")
    asked = await channel.use("import", "The file has 2 messages.", file=file)
    [message] = asked.responses
    await channel.chat.press("Replace", message)
    await harness.discord.wait_for(lambda: "2 messages imported" in harness.discord.transcript(channel.chat.chat))
    await channel.use("ask", "three", prompt="repeat: three")
    assert conversation(harness) == ["repeat: one", "one", "repeat: three"]
    assert "import" not in "".join(public_texts(harness, channel.chat.chat))


async def test_others_see_only_what_concerns_them(harness: Harness) -> None:
    chat = ChatWithButtons(harness, "discord", others=("Bob",))
    discord, channel, owner = (
        harness.discord,
        chat.chat,
        next(u for u in harness.discord.users.values() if u.name == "Owner"),
    )
    commands: list[tuple[str, dict[str, Any]]] = [("new", {}), ("persona", {}), ("system", {"text": "Be brief."})]
    for command, options in commands:
        used = await discord.use_command(chat.person, channel, command, **options)
        await discord.wait_for(partial(bot_texts, used.responses), 30)
    assert public_texts(harness, channel) == []
    await discord.use_command(owner, channel, "settings", name="share", value="on")
    await discord.wait_for(lambda: public_texts(harness, channel), 30)
    await discord.use_command(chat.person, channel, "new")
    await discord.wait_for(lambda: any("New conversation" in text for text in public_texts(harness, channel)), 30)
    announced = next(text for text in public_texts(harness, channel) if "New conversation" in text)
    assert announced.splitlines()[-1] == "Changed by Ann for everyone here"


async def test_button_deletes_the_notes_of_the_private_conversation(harness: Harness) -> None:
    channel = PrivateChannel(harness)
    discord, chat = harness.discord, channel.chat
    await discord.use_command(chat.person, chat.chat, "remember", text="the public note")
    await channel.use("remember", "", text="the private note")
    [question] = (await channel.use("memory", "This permanently deletes 1 note", action="clear")).responses
    await chat.press("Delete everything", question)
    await discord.wait_for(lambda: "are deleted" in question.content, 30)
    assert "No notes or files yet." in str(bot_texts((await channel.use("memory", "")).responses))
    shown = await discord.use_command(chat.person, chat.chat, "memory")
    await discord.wait_for(lambda: "the public note" in str(bot_texts(shown.responses)), 30)
