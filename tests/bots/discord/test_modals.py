"""Forms open at once, and what people enter reaches the core as a command of theirs."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest
import structlog

from bots.discord.commands import ASK_ABOUT_MESSAGE, commands_payload
from bots.discord.modals import ASK_MODAL, EDIT_MODAL, FIELD_CUSTOM_ID, INSTRUCTIONS_MODAL
from bots.sandbox.discord import Fault, FaultKind, Interaction, Message
from core.port import Button, EventKind, Incoming, Part, QuoteKind
from core.texts.answers import ACCESS_DENIED
from tests.bots.discord.conftest import FAST_TIMINGS, AdapterHarness, running_harness

T = TypeVar("T")
EPHEMERAL = 1 << 6


async def write_as_olga(harness: AdapterHarness, text: str = "The fair is on Friday.", **options: Any) -> Message:
    """A message that is not for the bot."""
    return await harness.discord.send_message(harness.owner, harness.channel, text, **options)


async def open_question_form(harness: AdapterHarness, message: Message, **options: Any) -> Interaction:
    return await harness.discord.use_message_command(harness.ann, message, ASK_ABOUT_MESSAGE, **options)


async def test_question_about_a_message_carries_the_message(harness: AdapterHarness) -> None:
    await harness.start()
    photo = harness.discord.add_attachment("fair.png", b"png", "image/png")
    message = await write_as_olga(harness, attachments=[photo])
    opened = await open_question_form(harness, message)
    response = await harness.acknowledgement(opened)
    assert (response["type"], response["data"]["title"]) == (9, ASK_ABOUT_MESSAGE)
    submitted = await harness.discord.submit_modal(opened, "When exactly?")
    incoming = await harness.inbox.next()
    assert (incoming.kind, incoming.command, incoming.text) == (EventKind.COMMAND, "ask", "When exactly?")
    assert incoming.key == f"i{submitted.id}"
    assert incoming.place == harness.place(harness.channel)
    [quote] = incoming.quotes
    assert (quote.kind, quote.author, quote.message_id) == (QuoteKind.REPLY, "Olga", str(message.id))
    assert quote.text == "[photo fair.png] The fair is on Friday."
    assert [(file.name, file.is_quoted) for file in incoming.attachments] == [("fair.png", True)]
    shown = (await harness.acknowledgement(submitted))["data"]["content"]
    link = f"https://discord.com/channels/{harness.guild.id}/{harness.channel.id}/{message.id}"
    assert shown == f"> When exactly?\n-# {link}"


async def test_question_about_a_message_needs_no_account_in_the_token() -> None:
    async with running_harness(token="opaque") as harness:
        await harness.start()
        opened = await open_question_form(harness, await write_as_olga(harness))
        assert (await harness.acknowledgement(opened))["type"] == 9


async def test_question_about_a_message_may_be_empty(harness: AdapterHarness) -> None:
    await harness.start()
    opened = await open_question_form(harness, await write_as_olga(harness))
    await harness.discord.submit_modal(opened, "")
    incoming = await harness.inbox.next()
    assert (incoming.text, len(incoming.quotes)) == ("", 1)


async def test_long_question_about_a_message_fits(harness: AdapterHarness) -> None:
    await harness.start()
    opened = await open_question_form(harness, await write_as_olga(harness))
    submitted = await harness.discord.submit_modal(opened, "x\n" * 1999)
    shown = (await harness.acknowledgement(submitted))["data"]["content"]
    assert len(shown) <= 2000
    assert "\n-# https://discord.com/channels/" in shown


def test_command_of_a_message_has_names_in_other_languages() -> None:
    translations = {"de": {ASK_ABOUT_MESSAGE: "Zu dieser Nachricht fragen"}}
    command, *_ = [each for each in commands_payload((), translations) if each["type"] == 3]
    assert command["name"] == "Ask about this message"
    assert command["name_localizations"] == {"de": "Zu dieser Nachricht fragen"}


async def test_command_of_a_message_works_where_the_bot_is_not(harness: AdapterHarness) -> None:
    await harness.start()
    await harness.commands_synced()
    harness.guild.has_bot = False
    opened = await open_question_form(harness, await write_as_olga(harness), is_user_installed=True)
    submitted = await harness.discord.submit_modal(opened, "When?")
    incoming = await harness.inbox.next()
    assert incoming.quotes[0].text == "The fair is on Friday."
    assert (await harness.acknowledgement(submitted))["type"] == 5


async def test_message_is_read_again_after_a_restart(harness: AdapterHarness) -> None:
    """A form can stay open while the bot starts anew."""
    await harness.start()
    message = await write_as_olga(harness)
    opened = await open_question_form(harness, message)
    await harness.acknowledgement(opened)
    await harness.restart()
    await harness.discord.submit_modal(opened, "When?")
    incoming = await harness.inbox.next()
    [quote] = incoming.quotes
    assert (incoming.text, quote.author, quote.text) == ("When?", "Olga", "The fair is on Friday.")
    assert quote.message_id == str(message.id)


async def test_message_is_not_read_again_once_the_check_of_access_has_taken_all_the_time(
    harness: AdapterHarness,
) -> None:
    """Both together have `max_read_delay`: storing takes the rest of Discord's three seconds."""

    async def never(_incoming: Incoming) -> bool:
        await asyncio.Event().wait()
        return True

    await harness.start()
    message = await write_as_olga(harness)
    opened = await open_question_form(harness, message)
    await harness.acknowledgement(opened)
    await harness.restart(has_access=never)
    with structlog.testing.capture_logs() as logs:
        response = await harness.acknowledgement(await harness.discord.submit_modal(opened, "When?"))
    assert response["data"]["content"].startswith("I couldn't read that message in time.")
    assert harness.discord.calls_to("GET", f".*/messages/{message.id}") == []
    events = [entry["event"] for entry in logs]
    assert "discord.access_not_checked" in events
    assert "discord.message_not_read" not in events


@pytest.mark.parametrize("fault", [Fault(FaultKind.INTERNAL_ERROR), Fault(FaultKind.DELAY, 60)])
async def test_message_that_discord_does_not_show_in_time_is_not_called_gone(
    harness: AdapterHarness, fault: Fault
) -> None:
    await harness.start()
    message = await write_as_olga(harness)
    opened = await open_question_form(harness, message)
    await harness.acknowledgement(opened)
    await harness.restart()
    reads_message = f"/messages/{message.id}"
    harness.discord.fault_hook = lambda call: fault if call.path.endswith(reads_message) else None
    response = await harness.acknowledgement(await harness.discord.submit_modal(opened, "When?"))
    assert response["data"]["content"].startswith("I couldn't read that message in time.")
    assert "\n> When?" in response["data"]["content"]


@pytest.mark.parametrize("is_long", [False, True])
async def test_question_about_a_message_that_is_gone_is_returned(harness: AdapterHarness, is_long: bool) -> None:
    await harness.start()
    message = await write_as_olga(harness)
    opened = await open_question_form(harness, message)
    await harness.acknowledgement(opened)
    await harness.restart()
    message.is_deleted = True
    submitted = await harness.discord.submit_modal(opened, "When?\n" * (600 if is_long else 1))
    response = await harness.acknowledgement(submitted)
    text = response["data"]["content"]
    assert text.startswith("I no longer have that message.")
    assert "\n> When?" in text
    assert len(text) <= 2000
    assert response["data"]["flags"] & EPHEMERAL
    assert harness.inbox.events.empty()


async def test_forged_submission_reaches_no_message_of_others(harness: AdapterHarness) -> None:
    await harness.start()
    opened = await open_question_form(harness, await write_as_olga(harness, "a secret"))
    await harness.acknowledgement(opened)
    eve = harness.discord.create_user("Eve")
    for custom_id in (f"{ASK_MODAL}:{opened.id}", f"{ASK_MODAL}:1", ASK_MODAL):
        forged = await harness.discord.send_submission(opened, custom_id, FIELD_CUSTOM_ID, "repeat it", user=eve)
        response = await harness.acknowledgement(forged)
        assert response["data"]["content"].startswith("I no longer have that message.")
    assert harness.inbox.events.empty()


async def test_refused_form_is_reported(harness: AdapterHarness) -> None:
    await harness.start()
    faults = [Fault(FaultKind.INTERNAL_ERROR)]
    harness.discord.fault_hook = lambda call: faults.pop() if faults and "/callback" in call.path else None
    response = await harness.acknowledgement(await open_question_form(harness, await write_as_olga(harness)))
    assert response["data"]["content"] == "Discord didn't open the form. Try again in a moment."
    assert response["data"]["flags"] & EPHEMERAL


@pytest.mark.parametrize("custom_id", ["", "parley-nonsense:1", "parley:stop:1"])
async def test_unknown_submission_is_ignored(harness: AdapterHarness, custom_id: str) -> None:
    await harness.start()
    opened = await open_question_form(harness, await write_as_olga(harness))
    await harness.acknowledgement(opened)
    forged = await harness.discord.send_submission(opened, custom_id, FIELD_CUSTOM_ID, "x")
    await harness.say("hello")
    assert (await harness.inbox.next()).text == "hello"
    assert harness.inbox.events.empty()
    assert forged.acknowledged_at is None


async def test_no_form_opens_for_people_without_access(harness: AdapterHarness) -> None:
    await harness.start()
    await harness.commands_synced()
    harness.inbox.denies = True
    response = await harness.acknowledgement(await open_question_form(harness, await write_as_olga(harness)))
    assert (response["type"], response["data"]["content"]) == (4, ACCESS_DENIED)
    assert response["data"]["flags"] & EPHEMERAL


async def test_submission_of_a_person_who_lost_access_is_refused(harness: AdapterHarness) -> None:
    await harness.start()
    opened = await open_question_form(harness, await write_as_olga(harness))
    await harness.acknowledgement(opened)
    harness.inbox.denies = True
    response = await harness.acknowledgement(await harness.discord.submit_modal(opened, "When?"))
    assert response["data"]["content"] == ACCESS_DENIED


async def open_instructions(harness: AdapterHarness) -> Interaction:
    return await harness.discord.use_command(harness.ann, harness.channel, "system")


def field_of(response: dict[str, Any]) -> dict[str, Any]:
    field: dict[str, Any] = response["data"]["components"][0]["component"]
    return field


@pytest.mark.parametrize(
    ("entered", "text"), [("Answer in rhymes.", "Answer in rhymes."), ("", "reset"), (" Be brief.\n", "")]
)
async def test_form_changes_instructions(harness: AdapterHarness, entered: str, text: str) -> None:
    await harness.start()
    opened = await open_instructions(harness)
    response = await harness.acknowledgement(opened)
    assert (response["type"], field_of(response)["value"]) == (9, "Be brief.")
    submitted = await harness.discord.submit_modal(opened, entered)
    incoming = await harness.inbox.next()
    assert (incoming.kind, incoming.command, incoming.text) == (EventKind.COMMAND, "system", text)
    response = await harness.acknowledgement(submitted)
    assert (response["type"], response["data"]) == (5, {"flags": EPHEMERAL}), "what changes for others is announced"


async def test_instructions_too_long_for_a_form_are_shown(harness: AdapterHarness) -> None:
    harness.instructions = "x" * 4001
    await harness.start()
    response = await harness.acknowledgement(await open_instructions(harness))
    assert response["type"] == 5
    assert ((await harness.inbox.next()).command, harness.inbox.events.empty()) == ("system", True)


async def test_no_instructions_for_people_without_access(harness: AdapterHarness) -> None:
    await harness.start()
    await harness.commands_synced()
    harness.inbox.denies = True
    opened = await open_instructions(harness)
    assert (await harness.acknowledgement(opened))["data"]["content"] == ACCESS_DENIED
    forged = await harness.discord.send_submission(opened, f"{INSTRUCTIONS_MODAL}:", FIELD_CUSTOM_ID, "Be rude.")
    assert (await harness.acknowledgement(forged))["data"]["content"] == ACCESS_DENIED
    assert harness.inbox.events.empty()


@pytest.mark.parametrize("form", ["instructions", "question", "question_about_message"])
async def test_form_reads_all_it_needs_at_once(harness: AdapterHarness, form: str) -> None:
    """Discord allows three seconds."""
    reads = asyncio.Barrier(2 if form == "question_about_message" else 3)

    def wait_for_others(read: Callable[[Incoming], Awaitable[T]]) -> Callable[[Incoming], Awaitable[T]]:
        async def waiting(incoming: Incoming) -> T:
            await reads.wait()
            return await read(incoming)

        return waiting

    names = ["has_access", "read_language", "read_question", "read_instructions"]
    reading: dict[str, Any] = {name: wait_for_others(getattr(harness, name)) for name in names}
    adapter = await harness.start(timings=replace(FAST_TIMINGS, max_read_delay=10.0), **reading)
    if form == "instructions":
        opened = await open_instructions(harness)
    elif form == "question":
        edit = Part("Because.", buttons=(Button("Edit", "edit:7"),))
        message = harness.message(await adapter.send(harness.place(harness.channel), edit, key="k"))
        custom_id = message.components[0]["components"][0]["custom_id"]
        opened = await harness.discord.press_button(harness.ann, message, custom_id)
    else:
        opened = await open_question_form(harness, await write_as_olga(harness))
    assert (await harness.acknowledgement(opened))["type"] == 9


@pytest.mark.parametrize("unread", ["has_access", "read_instructions"])
async def test_command_is_acknowledged_if_its_form_cannot_be_read_in_time(harness: AdapterHarness, unread: str) -> None:
    async def never(_incoming: Incoming) -> Any:
        await asyncio.Event().wait()

    reading: dict[str, Any] = {unread: never}
    await harness.start(**reading)
    assert (await harness.acknowledgement(await open_instructions(harness)))["type"] == 5
    assert (await harness.inbox.next()).command == "system"


async def submit_edit(harness: AdapterHarness, text: str) -> Interaction:
    opened = await open_instructions(harness)
    await harness.acknowledgement(opened)
    return await harness.discord.send_submission(opened, f"{EDIT_MODAL}:7", FIELD_CUSTOM_ID, text)


async def test_edited_question_is_shown_and_stored_as_a_press(harness: AdapterHarness) -> None:
    await harness.start()
    submitted = await submit_edit(harness, "Why not?")
    incoming = await harness.inbox.next()
    assert (incoming.kind, incoming.text, incoming.form_text) == (EventKind.BUTTON, "edit:7", "Why not?")
    assert (await harness.acknowledgement(submitted))["data"]["content"] == "> Why not?"


@pytest.mark.parametrize(("question", "text"), [(None, "Why not?"), ("Why?", "")])
async def test_question_that_may_not_be_edited_is_not_shown(
    harness: AdapterHarness, question: str | None, text: str
) -> None:
    harness.question = question
    await harness.start()
    response = await harness.acknowledgement(await submit_edit(harness, text))
    assert response["data"]["flags"] & EPHEMERAL
    assert harness.inbox.events.empty()


@pytest.mark.parametrize(("language", "title"), [("de", "Anweisungen an das Modell"), (None, "モデルへの指示")])
async def test_form_is_in_the_persons_language(harness: AdapterHarness, language: str | None, title: str) -> None:
    """In that of the client if the database does not answer."""
    harness.language, harness.ann.locale = language, "ja"
    await harness.start()
    response = await harness.acknowledgement(await open_instructions(harness))
    assert response["data"]["title"] == title


async def test_edit_is_not_shown_to_others_if_access_is_unknown(harness: AdapterHarness) -> None:
    async def never(_incoming: Incoming) -> bool:
        await asyncio.Event().wait()
        return True

    await harness.start(has_access=never)
    opened = await open_instructions(harness)
    submitted = await harness.discord.send_submission(opened, f"{EDIT_MODAL}:7", FIELD_CUSTOM_ID, "Why not?")
    assert (await harness.acknowledgement(submitted))["data"]["flags"] & EPHEMERAL


async def test_command_in_a_refusal_can_be_clicked(harness: AdapterHarness) -> None:
    harness.question = None
    await harness.start()
    await harness.commands_synced()
    [ask_id] = [command["id"] for command in harness.discord.commands if command["name"] == "ask"]
    response = await harness.acknowledgement(await submit_edit(harness, "Why not?"))
    assert response["data"]["content"].endswith(f"Ask it again with </ask:{ask_id}>.")


async def test_forms_and_their_refusals_are_in_the_chosen_language(harness: AdapterHarness) -> None:
    harness.language = "de"
    await harness.start()
    opened = await open_question_form(harness, await write_as_olga(harness))
    assert (await harness.acknowledgement(opened))["data"]["title"] == "Zu dieser Nachricht fragen"
    response = await harness.acknowledgement(await submit_edit(harness, ""))
    assert response["data"]["content"].startswith("Die Nachricht ist leer.")
