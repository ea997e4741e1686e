"""Commands, completions, buttons and menus are stored, acknowledged in time and answered where they belong."""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import structlog

from bots.discord.adapter import DiscordAdapter
from bots.discord.interaction_responder import InteractionToken, ResponseMode
from bots.sandbox.discord import Channel, Interaction, ScriptedReply
from bots.sandbox.discord.state import MANAGE_CHANNELS, MANAGE_GUILD, VIEW_CHANNEL
from core.commands.models import AutocompleteChoice
from core.errors import DeliveryError, DeliveryFailure
from core.port import Button, EventKind, Incoming, MenuItem, Part
from tests.bots.discord.conftest import AdapterHarness, messages_path
from tests.waiting import wait_until

EPHEMERAL = 1 << 6
QUESTION = "why is\nthe sky blue?"


async def use_ask(
    harness: AdapterHarness, channel: Channel | None = None, *, is_user_installed: bool = False
) -> tuple[Incoming, dict[str, Any]]:
    """Ann uses /ask. Returns the event, and the first response to the interaction."""
    interaction = await harness.discord.use_command(
        harness.ann, channel or harness.channel, "ask", is_user_installed=is_user_installed, prompt=QUESTION
    )
    return await harness.inbox.next(), await harness.acknowledgement(interaction)


async def use_command(harness: AdapterHarness, name: str, /, **options: Any) -> Interaction:
    return await harness.discord.use_command(harness.ann, harness.channel, name, **options)


async def send_answer(
    adapter: DiscordAdapter, incoming: Incoming, text: str, *, key: str = "k1", ephemeral: bool = False
) -> str:
    token = incoming.interaction_token
    return await adapter.send(incoming.place, Part(text), key=key, interaction_token=token, ephemeral=ephemeral)


async def test_ask_shows_question_and_answers_by_message(harness: AdapterHarness) -> None:
    harness.ann.locale = "de"
    adapter = await harness.start()
    incoming, response = await use_ask(harness)
    assert (incoming.kind, incoming.command, incoming.text) == (EventKind.COMMAND, "ask", QUESTION)
    assert incoming.key.startswith("i")
    assert incoming.sender.language == "de"
    assert incoming.place == harness.place(harness.channel)
    assert response["type"] == 4
    assert response["data"]["content"] == "> why is\n> the sky blue?"
    assert response["data"]["allowed_mentions"]["parse"] == []
    message_id = await send_answer(adapter, incoming, "because")
    [post] = harness.discord.calls_to("POST", messages_path(harness.channel))
    assert post.body["content"] == "because"
    question = next(message for message in harness.bot_messages() if message.content.startswith(">"))
    assert post.body["message_reference"]["message_id"] == str(question.id)
    assert not harness.message(message_id).flags & EPHEMERAL


@pytest.mark.parametrize(
    ("name", "options", "is_public"),
    [
        ("new", {}, False),
        ("new", {"question": QUESTION}, True),
        ("persona", {"name": "teacher"}, False),
        ("retry", {}, True),
    ],
)
async def test_only_what_a_model_answers_is_shown_to_everybody(
    harness: AdapterHarness, name: str, options: dict[str, str], is_public: bool
) -> None:
    await harness.start()
    response = await harness.acknowledgement(await use_command(harness, name, **options))
    assert (response["type"] == 4) is is_public
    assert (response["data"].get("flags", 0) & EPHEMERAL == 0) is is_public


async def test_new_with_a_file_is_shown_to_everybody(harness: AdapterHarness) -> None:
    await harness.start()
    file = harness.discord.upload_attachment("notes.txt", b"notes")
    assert (await harness.acknowledgement(await use_command(harness, "new", file=file)))["type"] == 4


async def test_models_to_compare_are_one_word_each(harness: AdapterHarness) -> None:
    await harness.start()
    await use_command(harness, "compare", first="llama 3.3", second=" phi  4 ", question="Why is it so?")
    assert (await harness.inbox.next()).text == "llama-3.3 phi-4 Why is it so?"
    await use_command(harness, "model", name="llama 3.3", scope="me")
    assert (await harness.inbox.next()).text == "llama 3.3 me"


@pytest.mark.parametrize("prompt", ["x\n" * 3000, "*" * 5999], ids=["lines", "marks"])
async def test_long_question_is_truncated(harness: AdapterHarness, prompt: str) -> None:
    await harness.start()
    response = await harness.acknowledgement(await use_command(harness, "ask", prompt=prompt))
    assert len(response["data"]["content"]) <= 2000
    assert len((await harness.inbox.next()).text) == 5999


async def test_question_is_shown_as_it_was_typed(harness: AdapterHarness) -> None:
    await harness.start()
    prompt = "[your prize](https://example.org)\n# Big\n<@1> ||x||"
    response = await harness.acknowledgement(await use_command(harness, "ask", prompt=prompt))
    shown = response["data"]["content"]
    assert shown.startswith("> \\[your prize\\](<https")
    assert "\n> \\# Big\n" in shown
    assert "||" not in shown


@pytest.mark.parametrize("prompt", [f"Use io-v2-{'x' * 40}!", f"sk-{'x' * 40}", "/key my-secret"])
async def test_api_key_is_not_shown(harness: AdapterHarness, prompt: str) -> None:
    """The core takes it as /key."""
    await harness.start()
    response = await harness.acknowledgement(await use_command(harness, "ask", prompt=prompt))
    assert (response["type"], response["data"]["content"]) == (4, "> /ask")
    assert (await harness.inbox.next()).text == prompt


@pytest.mark.parametrize("prompt", ["   ", "\n\n", "\u3000"])
async def test_blank_question_is_acknowledged(harness: AdapterHarness, prompt: str) -> None:
    await harness.start()
    response = await harness.acknowledgement(await use_command(harness, "ask", prompt=prompt))
    assert (response["type"], response["data"]["content"]) == (4, "> /ask")


async def test_ask_in_a_thread_posts_into_the_thread(harness: AdapterHarness) -> None:
    adapter = await harness.start()
    incoming, _ = await use_ask(harness, harness.thread)
    assert incoming.place == harness.place(harness.thread)
    await send_answer(adapter, incoming, "here")
    assert harness.discord.calls_to("POST", messages_path(harness.thread))


async def test_ask_in_direct_messages_answers_by_message(harness: AdapterHarness) -> None:
    adapter = await harness.start()
    incoming, response = await use_ask(harness, harness.dm)
    assert incoming.place.is_private
    assert response["type"] == 4
    await send_answer(adapter, incoming, "hi")
    assert harness.discord.calls_to("POST", messages_path(harness.dm))


def group_chat(harness: AdapterHarness) -> Channel:
    return harness.discord.create_group("Friends", harness.ann, harness.owner)


def channel_of_guild_without_bot(harness: AdapterHarness) -> Channel:
    guild = harness.discord.create_guild("Elsewhere", harness.ann, has_bot=False)
    return harness.discord.create_channel(guild, "general")


@pytest.mark.parametrize("create_channel", [group_chat, channel_of_guild_without_bot])
async def test_user_installed_ask_is_answered_through_interaction(
    harness: AdapterHarness, create_channel: Callable[[AdapterHarness], Channel]
) -> None:
    adapter = await harness.start()
    incoming, response = await use_ask(harness, create_channel(harness), is_user_installed=True)
    assert not incoming.place.is_private
    assert (response["type"], response["data"]["flags"]) == (5, 0)
    first = await send_answer(adapter, incoming, "part one")
    second = await send_answer(adapter, incoming, "part two", key="k2")
    await adapter.edit(incoming.place, first, Part("part 1"), interaction_token=incoming.interaction_token)
    await adapter.edit(incoming.place, second, Part("part 2"), interaction_token=incoming.interaction_token)
    assert [harness.message(message_id).content for message_id in (first, second)] == ["part 1", "part 2"]
    assert not harness.discord.calls_to("POST", "/channels/.*/messages")


@pytest.mark.parametrize("in_thread", [False, True])
async def test_command_in_hidden_channel_is_answered_through_interaction(
    harness: AdapterHarness, in_thread: bool
) -> None:
    """Discord tells the bot neither the name nor the permissions of a channel that it may not view."""
    harness.channel.bot_permissions &= ~VIEW_CHANNEL
    harness.channel.granted_permissions[harness.ann.id] = MANAGE_CHANNELS | MANAGE_GUILD
    harness.thread.granted_permissions[harness.ann.id] = MANAGE_CHANNELS | MANAGE_GUILD
    adapter = await harness.start()
    channel = harness.thread if in_thread else harness.channel
    incoming, response = await use_ask(harness, channel)
    assert incoming.place == harness.place(channel)
    assert incoming.sender.is_manager
    assert not incoming.sender.is_server_manager, "a right in one channel is none on the server"
    assert response["type"] == 5
    message_id = await send_answer(adapter, incoming, "because")
    assert harness.message(message_id).content == "because"
    assert not harness.discord.calls_to("POST", "/channels/.*/messages")


async def test_answer_waits_for_acknowledgement(harness: AdapterHarness) -> None:
    adapter = await harness.start()
    may_acknowledge = asyncio.Event()
    held = ScriptedReply(None, hold_until=may_acknowledge)
    harness.discord.script.add("POST /interactions/.*/callback", held)
    await harness.discord.use_command(harness.ann, harness.channel, "ask", is_user_installed=True, prompt=QUESTION)
    incoming = await harness.inbox.next()
    sending = asyncio.create_task(send_answer(adapter, incoming, "early"))
    await harness.discord.wait_for(lambda: harness.discord.calls_to("POST", "/interactions/.*"))
    assert not harness.discord.calls_to("PATCH", "/webhooks/.*")
    may_acknowledge.set()
    assert harness.message(await sending).content == "early"


async def test_slow_store_does_not_delay_acknowledgement(harness: AdapterHarness) -> None:
    adapter = await harness.start()
    harness.inbox.may_store.clear()
    response = await harness.acknowledgement(await use_command(harness, "model"))
    assert (response["type"], response["data"]["flags"]) == (5, EPHEMERAL)
    assert harness.inbox.events.empty()
    harness.inbox.may_store.set()
    message_id = await send_answer(adapter, await harness.inbox.next(), "the model", ephemeral=True)
    assert harness.message(message_id).flags & EPHEMERAL


@pytest.mark.parametrize("is_acknowledged_first", [False, True])
async def test_unstored_command_is_reported(harness: AdapterHarness, is_acknowledged_first: bool) -> None:
    await harness.start()
    await harness.commands_synced()
    harness.inbox.is_failing = True
    if is_acknowledged_first:
        harness.inbox.may_store.clear()
    await harness.acknowledgement(await use_command(harness, "model"))
    harness.inbox.may_store.set()
    await harness.discord.wait_for(lambda: "couldn't save" in "".join(harness.bot_texts()))
    [notice] = harness.bot_messages()
    assert notice.flags & EPHEMERAL


async def test_question_of_denied_user_is_removed(harness: AdapterHarness) -> None:
    """Storing takes so long that the question is shown before the sender is known to be rejected."""
    await harness.start()
    await harness.commands_synced()
    harness.inbox.denies = True
    harness.inbox.may_store.clear()
    await harness.acknowledgement(await use_command(harness, "ask", prompt=QUESTION))
    assert "sky" in "".join(harness.bot_texts())
    harness.inbox.may_store.set()
    await harness.discord.wait_for(lambda: "sky" not in "".join(harness.bot_texts()))
    [notice] = harness.bot_messages()
    assert notice.content
    assert notice.flags & EPHEMERAL


@pytest.mark.parametrize("name", ["ask", "model"])
@pytest.mark.parametrize("is_acknowledged_first", [False, True])
async def test_banned_person_gets_nothing_for_a_command(
    harness: AdapterHarness, name: str, is_acknowledged_first: bool
) -> None:
    await harness.start()
    await harness.commands_synced()
    harness.inbox.bans = True
    options = {"prompt": QUESTION} if name == "ask" else {}
    if is_acknowledged_first:
        harness.inbox.may_store.clear()
    interaction = await use_command(harness, name, **options)
    if is_acknowledged_first:
        await harness.acknowledgement(interaction)
        harness.inbox.may_store.set()
        await harness.discord.wait_for(lambda: harness.bot_messages() == [])
    await harness.inbox.has_failed.wait()
    harness.inbox.bans = False
    await harness.say("hello")
    await harness.inbox.next()
    assert harness.bot_messages() == []
    assert bool(harness.discord.calls_to("POST", "/interactions/.*")) is is_acknowledged_first


async def test_press_of_a_banned_person_is_acknowledged_and_no_more(harness: AdapterHarness) -> None:
    adapter = await harness.start()
    message_id = await adapter.send(
        harness.place(harness.channel), Part("hi", buttons=(Button("Retry", "retry:1"),)), key="k"
    )
    message = harness.message(message_id)
    harness.inbox.bans = True
    custom_id = message.components[0]["components"][0]["custom_id"]
    interaction = await harness.discord.press_button(harness.ann, message, custom_id)
    assert await harness.acknowledgement(interaction) == {"type": 6}
    assert harness.bot_texts() == ["hi"]


async def test_roles_of_the_sender_reach_the_inbox(harness: AdapterHarness) -> None:
    roles = [harness.discord.create_role(harness.guild, harness.ann), harness.discord.create_role(harness.guild)]
    await harness.start()
    assert (await harness.mentioned()).sender.roles == (str(roles[0]),)
    command, _ = await use_ask(harness)
    assert command.sender.roles == (str(roles[0]),)
    await harness.say("hi")
    assert (await harness.inbox.next()).sender.roles == (), "there are none in a private chat"


async def test_ephemeral_command_is_answered_privately(harness: AdapterHarness) -> None:
    adapter = await harness.start()
    await use_command(harness, "model", scope="me", name="llama")
    incoming = await harness.inbox.next()
    assert (incoming.command, incoming.text) == ("model", "llama me")
    first = await send_answer(adapter, incoming, "one", ephemeral=True)
    second = await send_answer(adapter, incoming, "two", key="k2", ephemeral=True)
    assert first != second
    assert all(harness.message(message_id).flags & EPHEMERAL for message_id in (first, second))
    await adapter.delete(incoming.place, second, interaction_token=incoming.interaction_token)
    assert harness.bot_texts() == ["one"]


@pytest.mark.parametrize("dies_after", ["fill", "follow-up", "all"])
async def test_announcement_is_not_repeated_where_posting_is_forbidden(
    harness: AdapterHarness, dies_after: str
) -> None:
    adapter = await harness.start()
    interaction = await harness.discord.use_command(
        harness.ann, channel_of_guild_without_bot(harness), "model", is_user_installed=True, name="phi"
    )
    incoming = await harness.inbox.next()
    await harness.acknowledgement(interaction)
    refused = {"fill": "POST /webhooks/[^/]+/[^/]+", "follow-up": "DELETE /webhooks/.*"}
    if dies_after in refused:
        harness.discord.script.add(refused[dies_after], ScriptedReply.error(400, 50035))
    with contextlib.suppress(DeliveryError):
        await send_answer(adapter, incoming, "Changed.")
    adapter = await harness.restart()
    await send_answer(adapter, incoming, "Changed.")
    shown = [message for message in interaction.responses if not message.is_deleted]
    public = [message.content for message in shown if not message.flags & EPHEMERAL]
    private = [message.content for message in shown if message.flags & EPHEMERAL]
    assert (public, private) == {
        "fill": ([], ["Changed."]),
        "follow-up": (["Changed."], ["Changed."]),
        "all": (["Changed."], []),
    }[dies_after]


async def test_undeclared_command_reaches_core(harness: AdapterHarness) -> None:
    """Ann's client still offers a command of an earlier version."""
    await harness.start()
    await harness.commands_synced()
    option = {"name": "any", "type": 3}
    harness.discord.commands.append({"id": "1", "name": "forgotten", "type": 1, "options": [option]})
    interaction = await use_command(harness, "forgotten", any="thing")
    incoming = await harness.inbox.next()
    assert (incoming.command, incoming.text) == ("forgotten", "thing")
    assert (await harness.acknowledgement(interaction))["data"]["flags"] == EPHEMERAL


async def test_ephemeral_command_is_answered_after_restart(harness: AdapterHarness) -> None:
    await harness.start()
    interaction = await use_command(harness, "usage")
    incoming = await harness.inbox.next()
    await harness.acknowledgement(interaction)
    adapter = await harness.restart()
    first = await send_answer(adapter, incoming, "12 tokens", ephemeral=True)
    assert interaction.original_response is harness.message(first)
    assert harness.message(first).content == "12 tokens"
    adapter = await harness.restart()
    assert await send_answer(adapter, incoming, "12 tokens", ephemeral=True) == first
    assert await send_answer(adapter, incoming, "more", key="k2", ephemeral=True) != first


async def test_ask_is_answered_after_restart(harness: AdapterHarness) -> None:
    await harness.start()
    incoming, _ = await use_ask(harness)
    [question] = harness.bot_messages()
    adapter = await harness.restart()
    await send_answer(adapter, incoming, "late but here")
    [post] = harness.discord.calls_to("POST", messages_path(harness.channel))
    assert post.body["message_reference"]["message_id"] == str(question.id)


async def test_expired_interaction_is_gone_where_posting_is_forbidden(harness: AdapterHarness) -> None:
    adapter, place = await harness.start(), harness.place(harness.channel)

    def expired_token(mode: ResponseMode) -> str:
        return InteractionToken(mode, harness.account, "1", "t", expires_at=1, can_post=True).encode()

    token = expired_token(ResponseMode.EPHEMERAL)
    with pytest.raises(DeliveryError) as caught:
        await adapter.send(place, Part("x"), key="k", interaction_token=token, ephemeral=True)
    assert caught.value.failure is DeliveryFailure.GONE
    message_id = await adapter.send(place, Part("x"), key="k", interaction_token=expired_token(ResponseMode.CHANNEL))
    assert harness.message(message_id).content == "x"


async def test_confidential_answer_is_never_posted(harness: AdapterHarness) -> None:
    adapter = await harness.start()
    place = (await harness.mentioned(harness.channel)).place
    token = InteractionToken(ResponseMode.CONFIDENTIAL, harness.account, "1", "t", expires_at=1, can_post=True).encode()
    with pytest.raises(DeliveryError) as caught:
        await adapter.send(place, Part("a secret"), key="k", interaction_token=token)
    assert caught.value.failure is DeliveryFailure.GONE
    assert not harness.discord.calls_to("POST", messages_path(harness.channel))


async def test_late_reply_about_a_confidential_answer_is_never_posted(harness: AdapterHarness) -> None:
    """Such as its reasoning, after the platform was away for longer than a press can be answered."""
    adapter = await harness.start()
    place = (await harness.mentioned(harness.channel)).place
    press = InteractionToken(ResponseMode.COMPONENT, harness.account, "1", "t", expires_at=1, can_post=True)
    token = replace(press, message_id="2", is_ephemeral=True).encode()
    with pytest.raises(DeliveryError) as caught:
        await adapter.send(place, Part("a secret"), key="k", interaction_token=token, ephemeral=True)
    assert caught.value.failure is DeliveryFailure.GONE
    assert not harness.discord.calls_to("POST", messages_path(harness.channel))


async def test_interaction_answers_where_posting_is_forbidden(harness: AdapterHarness) -> None:
    adapter = await harness.start()
    incoming, _ = await use_ask(harness)
    harness.discord.script.add(f"POST {messages_path(harness.channel)}", ScriptedReply.error(403, 50001))
    message_id = await send_answer(adapter, incoming, "another way")
    await adapter.edit(incoming.place, message_id, Part("edited"), interaction_token=incoming.interaction_token)
    assert harness.message(message_id).content == "edited"
    assert harness.discord.calls_to("POST", "/webhooks/.*")


async def test_completions_fit_discord_limits(harness: AdapterHarness) -> None:
    await harness.start()
    harness.suggestions = [AutocompleteChoice("L" * 150, f"model-{n}") for n in range(40)]
    harness.suggestions.insert(1, AutocompleteChoice("too long to be a value", "v" * 101))
    choices = await harness.discord.autocomplete(harness.ann, harness.channel, "model", "name", "lla")
    assert 20 <= len(choices) <= 25
    assert choices[0] == {"name": "L" * 100, "value": "model-0"}
    assert all(len(choice["value"]) <= 100 for choice in choices)
    [callback] = harness.discord.calls_to("POST", "/interactions/.*/callback")
    assert callback.body["type"] == 8
    assert harness.suggestion_requests == ["lla"]
    assert harness.inbox.events.empty()


@pytest.mark.parametrize("problem", ["denies", "is_failing"])
async def test_completions_need_access(harness: AdapterHarness, problem: str) -> None:
    await harness.start()
    harness.suggestions = [AutocompleteChoice("Llama", "meta/llama")]
    setattr(harness.inbox, problem, True)
    assert await harness.discord.autocomplete(harness.ann, harness.channel, "model", "name", "lla") == []
    assert harness.suggestion_requests == []


async def test_button_works_after_restart(harness: AdapterHarness) -> None:
    adapter, place = await harness.start(), harness.place(harness.channel)
    stop = Button("Stop", "stop:42", is_destructive=True)
    message_id = await adapter.send(place, Part("thinking", buttons=(stop,)), key="k")
    message = harness.message(message_id)
    custom_id = message.components[0]["components"][0]["custom_id"]
    await harness.restart()
    interaction = await harness.discord.press_button(harness.ann, message, custom_id)
    pressed = await harness.inbox.next()
    assert (pressed.kind, pressed.text, pressed.message_id) == (EventKind.BUTTON, "stop:42", message_id)
    assert (pressed.sender.user, pressed.key) == (str(harness.ann.id), f"i{interaction.id}")
    assert (await harness.acknowledgement(interaction))["type"] == 6


async def test_button_answer_is_message_and_notice_is_ephemeral(harness: AdapterHarness) -> None:
    adapter, place = await harness.start(), harness.place(harness.channel)
    retry = Button("Retry", "retry:1")
    message_id = await adapter.send(place, Part("done", buttons=(retry,)), key="k")
    await harness.discord.press_button(harness.ann, harness.message(message_id), "parley:retry:1")
    pressed = await harness.inbox.next()
    notice = await send_answer(adapter, pressed, "not yours", key="k2", ephemeral=True)
    assert harness.message(notice).flags & EPHEMERAL
    again = await send_answer(adapter, pressed, "again", key="k3")
    assert not harness.message(again).flags & EPHEMERAL
    await adapter.edit(pressed.place, again, Part("again!"), interaction_token=pressed.interaction_token)
    await adapter.edit(pressed.place, message_id, Part("done"), interaction_token=pressed.interaction_token)
    assert harness.message(again).content == "again!"
    assert harness.message(message_id).components == []


async def test_ephemeral_menu_is_updated(harness: AdapterHarness) -> None:
    adapter = await harness.start()
    await use_command(harness, "model")
    incoming = await harness.inbox.next()
    menu = tuple(MenuItem(f"Model {n}", f"model:{n}", "128k", is_selected=n == 1) for n in range(23))
    part = Part("Choose", menu=menu, buttons=(Button("More", "page:2"),))
    message_id = await adapter.send(
        incoming.place, part, key="k", interaction_token=incoming.interaction_token, ephemeral=True
    )
    message = harness.message(message_id)
    select_row, button_row = message.components
    [select] = select_row["components"]
    assert (select["type"], len(select["options"])) == (3, 23)
    selected = {"label": "Model 1", "value": "model:1", "description": "128k", "default": True}
    assert select["options"][1] == selected
    assert len(button_row["components"]) == 1
    adapter = await harness.restart()
    interaction = await harness.discord.select_options(harness.ann, message, select["custom_id"], ["model:7"])
    pressed = await harness.inbox.next()
    assert (pressed.text, pressed.message_id) == ("model:7", message_id)
    await harness.acknowledgement(interaction)
    token = pressed.interaction_token
    await adapter.edit(pressed.place, message_id, Part("Model 7 it is"), interaction_token=token)
    assert message.content == "Model 7 it is"
    path = f"/webhooks/{harness.account}/{interaction.token}/messages/@original"
    assert harness.discord.calls_to("PATCH", path)


async def test_unreadable_press_is_logged_without_text(
    harness: AdapterHarness, caplog: pytest.LogCaptureFixture
) -> None:
    adapter = await harness.start()
    message_id = await adapter.send(harness.place(harness.dm), Part("x", buttons=(Button("Secret", "mp:0"),)), key="k")
    await harness.discord.press_button(harness.ann, harness.message(message_id), "parley:mp:0")
    await harness.inbox.next()
    event, data = harness.discord.gateway.dispatches[-1]
    with structlog.testing.capture_logs() as logs:
        await harness.discord.gateway.dispatch(event, {key: value for key, value in data.items() if key != "user"})
        await wait_until(lambda: any(entry["event"] == "discord.event_failed" for entry in logs))
    assert [entry["handler"] for entry in logs if entry["event"] == "discord.event_failed"] == ["on_interaction"]
    assert "Secret" not in caplog.text
