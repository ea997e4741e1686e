"""What `send` does with a file, for platforms that have `SupportsUploads`."""

import pytest

from core.errors import DeliveryFailure
from core.port import Adapter, Button, File, Part, SupportsUploads
from tests.contract.harness import Ability, Operation, PlatformHarness, VisibleMessage, needs
from tests.contract.test_failures import failure_of
from tests.contract.test_receiving import receive_press

TEXT = File("answer.md", "# Answer\n\nfür alle 👩‍👩‍👧‍👦\n".encode())
BUTTONS = (Button("Retry", "retry:1"),)


@pytest.fixture
def uploader(platform: PlatformHarness, adapter: Adapter) -> SupportsUploads:
    if not isinstance(adapter, SupportsUploads):
        pytest.skip(f"{platform.name} sends no files: SupportsUploads")
    return adapter


def last_message(platform: PlatformHarness, *, to_bob: bool = False) -> VisibleMessage:
    return platform.messages(platform.room, to_bob=to_bob)[-1]


async def test_file_arrives_with_its_caption_and_buttons(
    platform: PlatformHarness, adapter: Adapter, uploader: SupportsUploads
) -> None:
    message_id = await adapter.send(platform.room, Part("all of it", buttons=BUTTONS, file=TEXT), key="1-5f")
    assert platform.messages(platform.room) == [
        VisibleMessage("all of it", message_id, actions=("retry:1",), files=((TEXT.name, TEXT.content),))
    ]


async def test_file_arrives_in_a_private_chat(
    platform: PlatformHarness, adapter: Adapter, uploader: SupportsUploads
) -> None:
    await adapter.send(platform.private_place, Part("all of it", file=TEXT), key="1-5f")
    [message] = platform.messages(platform.private_place)
    assert message.files == ((TEXT.name, TEXT.content),)


async def test_file_refers_to_the_message_it_replies_to(
    platform: PlatformHarness, adapter: Adapter, uploader: SupportsUploads
) -> None:
    await platform.write(platform.room, "question")
    question = await platform.inbox.wait_for("question")
    await adapter.send(platform.room, Part("all of it", file=TEXT), key="1-5f", reply_to=question.message_id)
    assert last_message(platform).reply_to == question.message_id


async def test_longest_caption_is_accepted_and_no_longer_one(
    platform: PlatformHarness, adapter: Adapter, uploader: SupportsUploads
) -> None:
    longest = uploader.upload_limits.max_caption_size
    await adapter.send(platform.room, Part("x" * longest, file=TEXT), key="1-5f")
    assert last_message(platform).text == "x" * longest
    too_long = adapter.send(platform.room, Part("x" * (longest + platform.size_margin + 1), file=TEXT), key="2-5f")
    assert (await failure_of(too_long)).failure is DeliveryFailure.REJECTED


async def test_largest_file_is_accepted_and_no_larger_one(
    platform: PlatformHarness, adapter: Adapter, uploader: SupportsUploads
) -> None:
    largest = b"x" * uploader.upload_limits.max_bytes
    await adapter.send(platform.room, Part("all of it", file=File("a.md", largest)), key="1-5f")
    [message] = platform.messages(platform.room)
    [(_, content)] = message.files
    is_complete = content == largest  # without the contents in the report of a failure
    assert is_complete
    too_large = adapter.send(platform.room, Part("all of it", file=File("a.md", largest + b"x")), key="2-5f")
    assert (await failure_of(too_large)).failure is DeliveryFailure.REJECTED
    assert len(platform.messages(platform.room)) == 1


async def test_forbidden_file_leaves_messages_allowed(
    platform: PlatformHarness, adapter: Adapter, uploader: SupportsUploads
) -> None:
    await platform.write(platform.room, "question")
    question = (await platform.inbox.wait_for("question")).message_id
    await platform.forbid_files(platform.room)
    error = await failure_of(adapter.send(platform.room, Part("x", file=TEXT), key="1-5f", reply_to=question))
    assert error.failure is DeliveryFailure.FORBIDDEN
    await adapter.send(platform.room, Part("hello"), key="1-5", reply_to=question)
    assert [message.text for message in platform.messages(platform.room)] == ["hello"]
    assert platform.messages(platform.private_place) == []


@pytest.mark.parametrize(
    "failure", [failure for failure in DeliveryFailure if failure is not DeliveryFailure.RATE_LIMITED]
)
@needs(Ability.REFUSALS)
async def test_refused_file_is_raised_and_has_no_effect(
    platform: PlatformHarness, adapter: Adapter, uploader: SupportsUploads, failure: DeliveryFailure
) -> None:
    if failure not in platform.refusable:
        pytest.skip(f"{platform.name} does not refuse requests as {failure.value!r}")
    platform.refuse_next(Operation.SEND_FILE, failure)
    error = await failure_of(adapter.send(platform.room, Part("all of it", file=TEXT), key="1-5f"))
    assert (error.failure, error.retry_after) == (failure, None)
    assert platform.messages(platform.room) == []


@needs(Ability.REFUSALS)
async def test_rate_limited_file_carries_the_seconds_to_wait(
    platform: PlatformHarness, adapter: Adapter, uploader: SupportsUploads
) -> None:
    platform.refuse_next(Operation.SEND_FILE, DeliveryFailure.RATE_LIMITED, retry_after=70)
    error = await failure_of(adapter.send(platform.room, Part("all of it", file=TEXT), key="1-5f"))
    assert (error.failure, error.retry_after) == (DeliveryFailure.RATE_LIMITED, 70)


@needs(Ability.LOST_CONNECTIONS)
async def test_file_whose_reply_is_lost_appears_once(
    platform: PlatformHarness, adapter: Adapter, uploader: SupportsUploads
) -> None:
    """The failure is UNKNOWN, unless sending again with the same key is safe: then it is TRANSIENT."""
    is_safe = adapter.capabilities(platform.room).deduplicates_sends
    platform.lose_next_reply(Operation.SEND_FILE)
    error = await failure_of(adapter.send(platform.room, Part("all of it", file=TEXT), key="1-5f"))
    assert error.failure is (DeliveryFailure.TRANSIENT if is_safe else DeliveryFailure.UNKNOWN)
    if is_safe:
        message_id = await adapter.send(platform.room, Part("changed", buttons=BUTTONS, file=TEXT), key="1-5f")
        assert last_message(platform).message_id == message_id
        assert (last_message(platform).text, last_message(platform).actions) == ("changed", ("retry:1",))
    [message] = platform.messages(platform.room)
    assert message.files == ((TEXT.name, TEXT.content),)


@needs(Ability.LOST_CONNECTIONS)
async def test_file_to_an_unreachable_platform_is_transient(
    platform: PlatformHarness, adapter: Adapter, uploader: SupportsUploads
) -> None:
    await platform.go_offline()
    error = await failure_of(adapter.send(platform.room, Part("all of it", file=TEXT), key="1-5f"))
    assert error.failure is DeliveryFailure.TRANSIENT


@needs(Ability.DELETE)
async def test_deleted_file_disappears(platform: PlatformHarness, adapter: Adapter, uploader: SupportsUploads) -> None:
    message_id = await adapter.send(platform.room, Part("all of it", file=TEXT), key="1-5f")
    await adapter.delete(platform.room, message_id)
    assert platform.messages(platform.room) == []


@pytest.mark.parametrize("ephemeral", [False, True])
@needs(Ability.INTERACTION_TOKENS)
async def test_file_answers_an_event_through_its_token(
    platform: PlatformHarness, adapter: Adapter, uploader: SupportsUploads, ephemeral: bool
) -> None:
    token = (await receive_press(platform, adapter)).interaction_token
    await adapter.send(
        platform.room, Part("all of it", file=TEXT), key="1-5f", interaction_token=token, ephemeral=ephemeral
    )
    assert last_message(platform).files == ((TEXT.name, TEXT.content),)
    assert bool(last_message(platform, to_bob=True).files) is not ephemeral


def skip_without_attaching(platform: PlatformHarness, adapter: Adapter) -> None:
    if not adapter.capabilities(platform.room).edits_attach_files:
        pytest.skip(f"{platform.name} cannot add a file to a message: Capabilities.edits_attach_files")


async def test_edit_attaches_a_file(platform: PlatformHarness, adapter: Adapter, uploader: SupportsUploads) -> None:
    skip_without_attaching(platform, adapter)
    message_id = await adapter.send(platform.room, Part("it goes on"), key="1-5")
    for _ in range(2):  # once more has no further effect
        await adapter.edit(platform.room, message_id, Part("all of it", buttons=BUTTONS, file=TEXT))
        assert platform.messages(platform.room) == [
            VisibleMessage("all of it", message_id, actions=("retry:1",), files=((TEXT.name, TEXT.content),))
        ]


async def test_edit_removes_a_file(platform: PlatformHarness, adapter: Adapter, uploader: SupportsUploads) -> None:
    skip_without_attaching(platform, adapter)
    message_id = await adapter.send(platform.room, Part("all of it", file=TEXT), key="1-5")
    await adapter.edit(platform.room, message_id, Part("another answer"))
    assert platform.messages(platform.room) == [VisibleMessage("another answer", message_id)]


async def test_repeated_send_attaches_a_file(
    platform: PlatformHarness, adapter: Adapter, uploader: SupportsUploads
) -> None:
    """A process died after it had sent a preview, whose ID it did not store."""
    skip_without_attaching(platform, adapter)
    message_id = await adapter.send(platform.room, Part("it goes on"), key="1-5")
    for _ in range(2):
        assert await adapter.send(platform.room, Part("it goes on", file=TEXT), key="1-5") == message_id
    assert platform.messages(platform.room) == [
        VisibleMessage("it goes on", message_id, files=((TEXT.name, TEXT.content),))
    ]


async def test_forbidden_attachment_leaves_the_message(
    platform: PlatformHarness, adapter: Adapter, uploader: SupportsUploads
) -> None:
    skip_without_attaching(platform, adapter)
    message_id = await adapter.send(platform.room, Part("it goes on"), key="1-5")
    await platform.forbid_files(platform.room)
    error = await failure_of(adapter.edit(platform.room, message_id, Part("all of it", file=TEXT)))
    assert error.failure is DeliveryFailure.FORBIDDEN
    await adapter.edit(platform.room, message_id, Part("the rest"))
    assert [message.text for message in platform.messages(platform.room)] == ["the rest"]
