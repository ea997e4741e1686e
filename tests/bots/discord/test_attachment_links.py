"""The URLs of attachments expire after a day: then their messages are asked for new ones."""

import pytest

from core.errors import DeliveryError, DeliveryFailure
from core.port import Attachment
from tests.bots.discord.conftest import AdapterHarness


async def receive_file(harness: AdapterHarness) -> Attachment:
    await harness.discord.send_file(harness.ann, harness.dm, "a.txt", b"Rent is due.")
    (file,) = (await harness.inbox.next()).attachments
    return file


def message_requests(harness: AdapterHarness) -> list[str]:
    return [call.path for call in harness.discord.calls if call.method == "GET" and "/messages/" in call.path]


async def failure_of(harness: AdapterHarness, file: Attachment) -> DeliveryFailure:
    with pytest.raises(DeliveryError) as caught:
        await harness.build().fetch(file, 1000)
    return caught.value.failure


async def test_new_url_costs_a_request_only_when_the_old_one_has_expired(harness: AdapterHarness) -> None:
    await harness.start()
    file, adapter = await receive_file(harness), harness.build()
    assert await adapter.fetch(file, 1000) == b"Rent is due."
    assert not message_requests(harness)
    harness.discord.expire_attachment_urls()
    assert await adapter.fetch(file, 1000) == b"Rent is due."
    assert len(message_requests(harness)) == 1


async def test_file_of_a_forwarded_message_has_a_new_url_too(harness: AdapterHarness) -> None:
    await harness.start()
    original = await harness.discord.send_file(harness.ann, harness.channel, "a.txt", b"Rent is due.")
    await harness.discord.forward_message(harness.ann, harness.dm, original)
    (file,) = (await harness.inbox.next()).attachments
    harness.discord.expire_attachment_urls()
    assert await harness.build().fetch(file, 1000) == b"Rent is due."


async def test_file_of_a_quoted_message_has_a_new_url_too(harness: AdapterHarness) -> None:
    await harness.start()
    original = await harness.discord.send_file(harness.ann, harness.channel, "a.txt", b"Rent is due.")
    text = f"{harness.discord.mention} when?"
    await harness.discord.send_message(harness.ann, harness.channel, text, reply_to=original)
    (file,) = (await harness.inbox.next()).attachments
    harness.discord.expire_attachment_urls()
    assert await harness.build().fetch(file, 1000) == b"Rent is due."


async def test_link_without_a_message_works_until_it_expires(harness: AdapterHarness) -> None:
    """As versions before stored them, and for the files of commands."""
    attachment = harness.discord.add_attachment("a.txt", b"Rent is due.", "text/plain")
    file = Attachment("file", "a.txt", file_id=str(attachment["url"]))
    assert await harness.build().fetch(file, 1000) == b"Rent is due."
    harness.discord.expire_attachment_urls()
    assert await failure_of(harness, file) is DeliveryFailure.GONE
    assert not message_requests(harness)


async def test_file_of_a_deleted_message_is_gone(harness: AdapterHarness) -> None:
    await harness.start()
    file = await receive_file(harness)
    await harness.discord.delete_message(harness.dm.messages[-1])
    harness.discord.expire_attachment_urls()
    assert await failure_of(harness, file) is DeliveryFailure.GONE


async def test_file_that_its_message_no_longer_has_is_gone(harness: AdapterHarness) -> None:
    await harness.start()
    file = await receive_file(harness)
    harness.dm.messages[-1].attachments.clear()
    harness.discord.expire_attachment_urls()
    assert await failure_of(harness, file) is DeliveryFailure.GONE


async def test_other_paths_are_never_requested(harness: AdapterHarness) -> None:
    file = Attachment("file", "a.txt", file_id=f"{harness.discord.api_base.removesuffix('/api/v10')}/x#../users/@me")
    assert await failure_of(harness, file) is DeliveryFailure.GONE
    assert not [call for call in harness.discord.calls if "users" in call.path]
