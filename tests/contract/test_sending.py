"""What `send`, `edit`, `delete`, `show_typing` and `show_draft` do."""

import asyncio

import pytest

from core.errors import DeliveryError, DeliveryFailure
from core.port import (
    Adapter,
    Button,
    Card,
    CardSection,
    MenuItem,
    Part,
    PreviewMode,
    SupportsDrafts,
    SupportsPrivateChats,
)
from tests.contract.harness import Ability, PlatformHarness, needs
from tests.core.markdown.samples import parse_markdown
from tests.waiting import wait_until

BUTTONS = (Button("Stop", "stop:1", is_destructive=True), Button("Retry", "retry:" + "x" * 58))
UNKNOWN_MESSAGE = "999999"
MARKDOWN = """# Lighthouse

A **bold** *word*, `code`, [a link](https://example.org/) and <b>no HTML</b>.

> A quote

1. one
2. two

| a | b |
|---|---|
| 1 | 2 |

```python
print("hello")
```
"""


async def test_sent_message_is_visible(platform: PlatformHarness, adapter: Adapter) -> None:
    assert await adapter.send(platform.room, Part("hello"), key="1-0")
    assert [message.text for message in platform.messages(platform.room)] == ["hello"]


@needs(Ability.MESSAGE_IDS)
async def test_send_returns_the_id_of_the_message(platform: PlatformHarness, adapter: Adapter) -> None:
    ids = [await adapter.send(platform.room, Part(text), key=text) for text in ("one", "two")]
    assert [(message.message_id, message.text) for message in platform.messages(platform.room)] == [
        (ids[0], "one"),
        (ids[1], "two"),
    ]


@needs(Ability.MESSAGE_IDS)
async def test_concurrent_sends_return_their_own_ids(platform: PlatformHarness, adapter: Adapter) -> None:
    texts = [f"message {number}" for number in range(5)]
    ids = await asyncio.gather(*(adapter.send(platform.room, Part(text), key=text) for text in texts))
    visible = {message.message_id: message.text for message in platform.messages(platform.room)}
    assert visible == dict(zip(ids, texts, strict=True))


async def test_send_with_the_same_key_appears_once(platform: PlatformHarness, adapter: Adapter) -> None:
    if not adapter.capabilities(platform.room).deduplicates_sends:
        pytest.skip(f"{platform.name} does not deduplicate: Capabilities.deduplicates_sends")
    first = await adapter.send(platform.room, Part("draft"), key="1-0")
    assert await adapter.send(platform.room, Part("final", buttons=BUTTONS), key="1-0") == first
    [message] = platform.messages(platform.room)
    assert (message.text, message.actions) == ("final", tuple(button.action for button in BUTTONS))


@needs(Ability.REPLIES)
async def test_message_refers_to_the_message_it_replies_to(platform: PlatformHarness, adapter: Adapter) -> None:
    for number, place in enumerate((platform.room, platform.private_place)):
        await platform.write(place, f"question {number}")
        question = await platform.inbox.wait_for(f"question {number}")
        assert question.message_id is not None
        await adapter.send(place, Part("answer"), key=f"{number}-0", reply_to=question.message_id)
        assert platform.messages(place)[-1].reply_to == question.message_id


async def test_reply_to_a_missing_message_is_sent_without(platform: PlatformHarness, adapter: Adapter) -> None:
    await adapter.send(platform.room, Part("answer"), key="1-0", reply_to=UNKNOWN_MESSAGE)
    assert [message.text for message in platform.messages(platform.room)] == ["answer"]


@needs(Ability.BUTTONS)
async def test_buttons_are_visible(platform: PlatformHarness, adapter: Adapter) -> None:
    await adapter.send(platform.room, Part("hello", buttons=BUTTONS), key="1-0")
    [message] = platform.messages(platform.room)
    assert message.actions == tuple(button.action for button in BUTTONS)


@needs(Ability.BUTTONS)
async def test_card_or_what_stands_for_it_is_visible(platform: PlatformHarness, adapter: Adapter) -> None:
    menu = (MenuItem("Phi", "model:phi"), MenuItem("Llama", "model:llama"))
    sections = (CardSection("the card", BUTTONS[0]), CardSection("its menu", menu=menu))
    part = Part("the text", buttons=BUTTONS, menu=menu, card=Card(sections, BUTTONS[1:]))
    await adapter.send(platform.room, part, key="1-0")
    [message] = platform.messages(platform.room)
    is_card = adapter.capabilities(platform.room).has_cards
    assert message.text == ("the card\nits menu" if is_card else "the text")
    assert sorted(message.actions) == sorted(each.action for each in (*BUTTONS, *menu))


@needs(Ability.EDIT)
async def test_edit_replaces_text_and_buttons(platform: PlatformHarness, adapter: Adapter) -> None:
    message_id = await adapter.send(platform.room, Part("hel", buttons=BUTTONS), key="1-0")
    menu = (MenuItem("Phi", "model:phi"),)
    await adapter.edit(platform.room, message_id, Part("hello", menu=menu))
    [message] = platform.messages(platform.room)
    assert (message.message_id, message.text, message.actions) == (message_id, "hello", ("model:phi",))
    await adapter.edit(platform.room, message_id, Part("hello"))
    assert platform.messages(platform.room)[0].actions == ()


@needs(Ability.EDIT)
async def test_edit_without_a_change_succeeds(platform: PlatformHarness, adapter: Adapter) -> None:
    part = Part("hello", buttons=BUTTONS)
    message_id = await adapter.send(platform.room, part, key="1-0")
    await adapter.edit(platform.room, message_id, part)
    assert len(platform.messages(platform.room)) == 1


@needs(Ability.DELETE)
async def test_deleted_message_disappears(platform: PlatformHarness, adapter: Adapter) -> None:
    message_ids = [await adapter.send(platform.room, Part(text), key=text) for text in ("one", "two")]
    await adapter.delete(platform.room, message_ids[0])
    assert [message.text for message in platform.messages(platform.room)] == ["two"]


@needs(Ability.EDIT)
async def test_edit_of_a_missing_message_is_gone(platform: PlatformHarness, adapter: Adapter) -> None:
    with pytest.raises(DeliveryError) as raised:
        await adapter.edit(platform.room, UNKNOWN_MESSAGE, Part("hello"))
    assert raised.value.failure is DeliveryFailure.GONE


@needs(Ability.DELETE)
async def test_delete_of_a_missing_message_is_gone(platform: PlatformHarness, adapter: Adapter) -> None:
    message_id = await adapter.send(platform.room, Part("hello"), key="1-0")
    await adapter.delete(platform.room, message_id)
    with pytest.raises(DeliveryError) as raised:
        await adapter.delete(platform.room, message_id)
    assert raised.value.failure is DeliveryFailure.GONE


@needs(Ability.TYPING)
async def test_typing_is_visible(platform: PlatformHarness, adapter: Adapter) -> None:
    assert not platform.is_typing(platform.room)
    await adapter.show_typing(platform.room)
    assert platform.is_typing(platform.room)


async def test_draft_grows_and_ends_with_its_message(platform: PlatformHarness, adapter: Adapter) -> None:
    if adapter.capabilities(platform.private_place).preview_mode is not PreviewMode.DRAFT:
        pytest.skip(f"{platform.name} has no drafts: Capabilities.preview_mode")
    assert isinstance(adapter, SupportsDrafts)
    assert platform.draft() is None
    await adapter.show_draft(platform.private_place, 5, Part(""))
    await wait_until(lambda: platform.draft() is not None)
    for text in ("hel", "hello"):
        await adapter.show_draft(platform.private_place, 5, Part(text))
        await wait_until(lambda text=text: platform.draft() == text)
    assert platform.messages(platform.private_place) == []
    await adapter.send(platform.private_place, Part("hello"), key="1-0")
    assert [message.text for message in platform.messages(platform.private_place)] == ["hello"]
    assert platform.draft() is None


async def test_rendered_document_is_accepted(platform: PlatformHarness, adapter: Adapter) -> None:
    document = parse_markdown(MARKDOWN)
    part = adapter.dialect.render(document)
    assert part == adapter.dialect.render(document)
    assert 0 < adapter.dialect.size(part) <= adapter.dialect.limit
    message_id = await adapter.send(platform.room, part, key="1-0")
    await adapter.edit(platform.room, message_id, part)
    assert any("Lighthouse" in message.text for message in platform.messages(platform.room))


@pytest.mark.parametrize("character", ["x", "é", "😀"])
@needs(Ability.SIZE_LIMIT)
async def test_part_of_the_limit_is_accepted(platform: PlatformHarness, adapter: Adapter, character: str) -> None:
    dialect = adapter.dialect
    text = character * (dialect.limit // dialect.size(Part(character)))
    await adapter.send(platform.room, Part(text), key="1-0")
    assert [message.text for message in platform.messages(platform.room)] == [text]


@pytest.mark.parametrize("character", ["x", "é", "😀"])
@needs(Ability.SIZE_LIMIT)
async def test_part_above_the_limit_is_rejected(platform: PlatformHarness, adapter: Adapter, character: str) -> None:
    dialect = adapter.dialect
    maximum = dialect.limit + platform.size_margin
    part = Part(character * (maximum // dialect.size(Part(character))) + "x")
    assert dialect.size(part) == maximum + 1
    with pytest.raises(DeliveryError) as raised:
        await adapter.send(platform.room, part, key="1-0")
    assert raised.value.failure is DeliveryFailure.REJECTED
    assert platform.messages(platform.room) == []


# Writing of the bot's own accord


async def test_bot_writes_to_a_person_in_private(platform: PlatformHarness, adapter: Adapter) -> None:
    if not isinstance(adapter, SupportsPrivateChats):
        pytest.skip(f"{platform.name} opens no private chats: SupportsPrivateChats")
    await platform.write(platform.private_place, "hello")
    ann = (await platform.inbox.wait_for("hello")).sender
    place = await adapter.open_private_chat(ann.user)
    assert place == platform.private_place
    await adapter.send(place, Part("Somebody wants to use this bot"), key="1-0")
    assert [message.text for message in platform.messages(place)] == ["Somebody wants to use this bot"]
