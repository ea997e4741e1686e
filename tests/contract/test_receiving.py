"""What reaches the inbox, when it counts as delivered, and what `fetch` and interaction tokens do."""

from collections.abc import Awaitable

import pytest

from core.errors import AccessDeniedError, DeliveryError, DeliveryFailure, StoreError
from core.port import Adapter, Attachment, Button, EventKind, Incoming, MenuItem, Part, SupportsFiles
from core.store.incoming_codec import decode_incoming, encode_incoming
from tests.contract.harness import Ability, PlatformHarness, needs
from tests.waiting import wait_until

FILE_CONTENT = bytes(range(256)) * 700
BUTTON = Button("Retry", "retry:" + "x" * 58)
"""Its action has the maximum length, 64 bytes."""


async def receive_press(platform: PlatformHarness, adapter: Adapter) -> Incoming:
    """A press on a button in the room, as it reaches the inbox."""
    message_id = await adapter.send(platform.room, Part("hello", buttons=(BUTTON,)), key="menu")
    await platform.press(platform.room, platform.messages(platform.room)[-1].message_id, BUTTON.action)
    press = await platform.inbox.wait_for(BUTTON.action)
    assert press.message_id == message_id
    return press


async def test_message_reaches_the_inbox(platform: PlatformHarness, adapter: Adapter) -> None:
    for place in {platform.room, platform.private_place}:
        await platform.write(place, f"hello in {place.chat}")
        incoming = await platform.inbox.wait_for(f"hello in {place.chat}")
        assert (incoming.kind, incoming.place) == (EventKind.PROMPT, place)
        assert (incoming.sender.platform, incoming.sender.name.lower()) == (adapter.platform, "ann")
        assert (place.platform, place.account) == (adapter.platform, adapter.account)
        await adapter.send(place, Part("hello Ann"), key=place.chat)


async def test_message_survives_storing(platform: PlatformHarness, adapter: Adapter) -> None:
    await platform.write(platform.room, "hello")
    incoming = await platform.inbox.wait_for("hello")
    decoded = decode_incoming(encode_incoming(incoming))
    assert decoded is not None
    assert encode_incoming(decoded).startswith(encode_incoming(incoming).removesuffix("}"))


async def test_command_reaches_the_inbox(platform: PlatformHarness, adapter: Adapter) -> None:
    await platform.use_command(platform.private_place, "model", "phi")
    incoming = await platform.inbox.wait_for("phi")
    assert (incoming.kind, incoming.command) == (EventKind.COMMAND, "model")


@needs(Ability.BUTTONS)
async def test_pressed_button_reaches_the_inbox(platform: PlatformHarness, adapter: Adapter) -> None:
    press = await receive_press(platform, adapter)
    assert (press.kind, press.place) == (EventKind.BUTTON, platform.room)


@needs(Ability.BUTTONS)
async def test_items_and_buttons_of_a_full_menu_page_can_be_pressed(
    platform: PlatformHarness, adapter: Adapter
) -> None:
    count = adapter.capabilities(platform.room).menu_page_size
    menu = tuple(MenuItem(f"Model {n}", f"model:{n}", "reasons", is_selected=n == 1) for n in range(count))
    page_buttons = tuple(Button(label, f"page:{label}") for label in ("◀", "2/9", "▶"))
    message_id = await adapter.send(platform.room, Part("Pick", buttons=page_buttons, menu=menu), key="1-0")
    actions = [*(item.action for item in menu), *(button.action for button in page_buttons)]
    assert sorted(platform.messages(platform.room)[0].actions) == sorted(actions)
    for action in (menu[-1].action, page_buttons[-1].action):
        await platform.press(platform.room, message_id, action)
        press = await platform.inbox.wait_for(action)
        assert (press.kind, press.message_id) == (EventKind.BUTTON, message_id)


# Acknowledging


@needs(Ability.ACKNOWLEDGEMENTS)
async def test_event_is_acknowledged_after_it_is_stored(platform: PlatformHarness, adapter: Adapter) -> None:
    platform.inbox.may_store.clear()
    await platform.write(platform.room, "hello")
    await wait_until(lambda: bool(platform.inbox.received_keys))
    assert not platform.is_acknowledged()
    platform.inbox.may_store.set()
    await wait_until(platform.is_acknowledged)
    assert platform.inbox.find("hello")


async def test_stored_event_is_not_delivered_again(platform: PlatformHarness, adapter: Adapter) -> None:
    for text in ("one", "two"):
        await platform.write(platform.room, text)
        await platform.inbox.wait_for(text)
        await adapter.send(platform.room, Part("answer"), key=text)
    assert platform.inbox.received_keys == list(platform.inbox.stored)


@needs(Ability.REDELIVERY)
async def test_redelivered_event_has_the_same_key(platform: PlatformHarness, adapter: Adapter) -> None:
    await platform.write(platform.room, "hello")
    await platform.inbox.wait_for("hello")
    await platform.redeliver(platform.room)
    await wait_until(lambda: len(platform.inbox.received_keys) == 2)
    assert len(set(platform.inbox.received_keys)) == 1


async def test_unstored_event_comes_again_or_the_person_is_told(platform: PlatformHarness, adapter: Adapter) -> None:
    platform.inbox.failures.append(StoreError("The disk is full"))
    await platform.write(platform.room, "hello")
    await wait_until(lambda: bool(platform.inbox.find("hello") or platform.messages(platform.room)))
    assert len(set(platform.inbox.received_keys)) == 1


# Events that are refused


async def test_denied_sender_is_ignored_in_public(platform: PlatformHarness, adapter: Adapter) -> None:
    platform.inbox.failures.append(AccessDeniedError())
    for text in ("let me in", "hello"):
        await platform.write(platform.room, text)
    await platform.inbox.wait_for("hello")
    assert not platform.inbox.find("let me in")
    assert platform.messages(platform.room, to_bob=True) == []


@needs(Ability.BUTTONS)
async def test_denied_press_is_answered_to_its_sender_only(platform: PlatformHarness, adapter: Adapter) -> None:
    message_id = await adapter.send(platform.room, Part("hello", buttons=(BUTTON,)), key="menu")
    visible = platform.messages(platform.room, to_bob=True)
    platform.inbox.failures.append(AccessDeniedError("No access"))
    await platform.press(platform.room, message_id, BUTTON.action)
    await platform.write(platform.room, "hello")
    await platform.inbox.wait_for("hello")
    if Ability.INTERACTION_TOKENS not in platform.lacks:
        await wait_until(lambda: platform.messages(platform.room)[-1].text == "No access")
    assert platform.messages(platform.room, to_bob=True) == visible


async def test_malformed_event_is_skipped(platform: PlatformHarness, adapter: Adapter) -> None:
    await platform.deliver_malformed_event()
    await platform.write(platform.private_place, "hello")
    await platform.inbox.wait_for("hello")
    assert len(platform.inbox.received_keys) == 1
    if Ability.ACKNOWLEDGEMENTS not in platform.lacks:
        await wait_until(platform.is_acknowledged)


# Interaction tokens


@needs(Ability.INTERACTION_TOKENS)
async def test_event_is_answered_through_its_token(platform: PlatformHarness, adapter: Adapter) -> None:
    token = (await receive_press(platform, adapter)).interaction_token
    assert token is not None
    message_id = await adapter.send(platform.room, Part("hel"), key="1-0", interaction_token=token)
    await adapter.edit(platform.room, message_id, Part("answer"), interaction_token=token)
    assert platform.messages(platform.room, to_bob=True)[-1].text == "answer"
    await adapter.delete(platform.room, message_id, interaction_token=token)
    assert [message.text for message in platform.messages(platform.room)] == ["hello"]


@needs(Ability.INTERACTION_TOKENS)
async def test_ephemeral_answer_is_visible_to_the_sender_only(platform: PlatformHarness, adapter: Adapter) -> None:
    token = (await receive_press(platform, adapter)).interaction_token
    message_id = await adapter.send(platform.room, Part("hel"), key="1-0", interaction_token=token, ephemeral=True)
    await adapter.edit(platform.room, message_id, Part("for Ann"), interaction_token=token)
    assert [message.text for message in platform.messages(platform.room)] == ["hello", "for Ann"]
    assert [message.text for message in platform.messages(platform.room, to_bob=True)] == ["hello"]
    await adapter.delete(platform.room, message_id, interaction_token=token)
    assert [message.text for message in platform.messages(platform.room)] == ["hello"]


async def test_events_without_a_token_are_answered_without(platform: PlatformHarness, adapter: Adapter) -> None:
    await platform.write(platform.room, "hello")
    incoming = await platform.inbox.wait_for("hello")
    assert incoming.interaction_token is None


# Files


async def receive_file(platform: PlatformHarness, adapter: Adapter) -> Attachment:
    """The attachment of a file that Ann sends."""
    if not isinstance(adapter, SupportsFiles):
        pytest.skip(f"{platform.name} downloads no files: SupportsFiles")
    await platform.send_file("a.bin", FILE_CONTENT)
    await wait_until(lambda: bool(platform.inbox.stored))
    [incoming] = platform.inbox.stored.values()
    [attachment] = incoming.attachments
    return attachment


def fetch(adapter: Adapter, attachment: Attachment, max_bytes: int) -> Awaitable[bytes]:
    assert isinstance(adapter, SupportsFiles)
    return adapter.fetch(attachment, max_bytes)


async def test_file_is_fetched_completely(platform: PlatformHarness, adapter: Adapter) -> None:
    attachment = await receive_file(platform, adapter)
    assert (attachment.kind, attachment.name, attachment.size) == ("file", "a.bin", len(FILE_CONTENT))
    assert attachment.is_document
    assert await fetch(adapter, attachment, len(FILE_CONTENT)) == FILE_CONTENT


async def test_file_above_the_maximum_is_rejected(platform: PlatformHarness, adapter: Adapter) -> None:
    attachment = await receive_file(platform, adapter)
    with pytest.raises(DeliveryError) as raised:
        await fetch(adapter, attachment, len(FILE_CONTENT) - 1)
    assert raised.value.failure is DeliveryFailure.REJECTED


async def test_missing_file_is_gone(platform: PlatformHarness, adapter: Adapter) -> None:
    attachment = await receive_file(platform, adapter)
    platform.remove_files()
    with pytest.raises(DeliveryError) as raised:
        await fetch(adapter, attachment, len(FILE_CONTENT))
    assert raised.value.failure is DeliveryFailure.GONE
