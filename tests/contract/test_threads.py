"""Threads: what is written in one arrives with it, and what is sent there appears nowhere else."""

import pytest

from core.errors import DeliveryError, DeliveryFailure
from core.port import Adapter, EventKind, Part, Place, QuoteKind, SupportsThreads
from tests.contract.harness import Ability, PlatformHarness, needs
from tests.waiting import wait_until

pytestmark = needs(Ability.THREADS)


def visible_texts(platform: PlatformHarness, place: Place) -> list[str]:
    return [message.text for message in platform.messages(place)]


async def test_message_in_thread_reaches_the_inbox_with_it(platform: PlatformHarness, adapter: Adapter) -> None:
    places = [platform.room, *[await platform.open_thread(title) for title in ("Harbour fair", "Lost cats")]]
    assert len(set(places)) == 3
    for number, place in enumerate(places):
        await platform.write(place, f"hello {number}")
        incoming = await platform.inbox.wait_for(f"hello {number}")
        assert (incoming.kind, incoming.place) == (EventKind.PROMPT, place)
    for place in places[1:]:
        assert place.thread
        assert (place.platform, place.account) == (adapter.platform, adapter.account)


async def test_messages_stay_in_their_thread(platform: PlatformHarness, adapter: Adapter) -> None:
    thread = await platform.open_thread("Harbour fair")
    await adapter.send(platform.room, Part("in the room"), key="1-0")
    message_id = await adapter.send(thread, Part("in the thr"), key="2-0")
    await adapter.edit(thread, message_id, Part("in the thread"))
    assert visible_texts(platform, platform.room) == ["in the room"]
    assert visible_texts(platform, thread) == ["in the thread"]
    await adapter.delete(thread, message_id)
    assert visible_texts(platform, thread) == []


async def test_reply_in_thread(platform: PlatformHarness, adapter: Adapter) -> None:
    thread = await platform.open_thread("Harbour fair")
    await platform.write(thread, "hello")
    question = await platform.inbox.wait_for("hello")
    await adapter.send(thread, Part("answer"), key="1-0", reply_to=question.message_id)
    assert [message.reply_to for message in platform.messages(thread)] == [question.message_id]


@needs(Ability.TYPING)
async def test_typing_is_shown_in_thread(platform: PlatformHarness, adapter: Adapter) -> None:
    thread = await platform.open_thread("Harbour fair")
    await adapter.show_typing(thread)
    await wait_until(lambda: platform.is_typing(thread))
    assert not platform.is_typing(platform.room)


# How a thread began


def thread_reader(adapter: Adapter) -> SupportsThreads:
    if not isinstance(adapter, SupportsThreads):
        pytest.skip(f"people see no beginning of a thread on {adapter.platform}: SupportsThreads")
    return adapter


async def test_start_of_thread_is_quoted(platform: PlatformHarness, adapter: Adapter) -> None:
    reader = thread_reader(adapter)
    thread = await platform.open_thread("Harbour fair", "The fair is on Friday.")
    quote = await reader.thread_start(thread, None)
    assert quote is not None
    assert (quote.kind, quote.author.lower(), quote.is_own) == (QuoteKind.THREAD_START, "ann", False)
    assert "Harbour fair" in quote.text
    assert "The fair is on Friday." in quote.text
    question = await reader.thread_start(thread, quote.message_id)
    assert question is not None
    assert "Harbour fair" in question.text
    assert "Friday" not in question.text, "the model gets the question anyway"


async def test_thread_without_first_message_has_its_title(platform: PlatformHarness, adapter: Adapter) -> None:
    reader = thread_reader(adapter)
    quote = await reader.thread_start(await platform.open_thread("Harbour fair"), None)
    assert quote is not None
    assert "Harbour fair" in quote.text


async def test_start_of_missing_thread_fails(platform: PlatformHarness, adapter: Adapter) -> None:
    reader = thread_reader(adapter)
    thread = await platform.open_thread("Harbour fair")
    await platform.remove_thread(thread)
    with pytest.raises(DeliveryError) as raised:
        await reader.thread_start(thread, None)
    assert raised.value.failure is DeliveryFailure.GONE
