"""How refused and lost requests become `DeliveryError`."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from core.errors import DeliveryError, DeliveryFailure
from core.port import Adapter, Part, PreviewMode, SupportsDrafts
from tests.contract.harness import Ability, Operation, PlatformHarness, needs

PROMPT_SECONDS = 5.0
"""Only the core waits for a rate limit."""


async def failure_of(request: Awaitable[object]) -> DeliveryError:
    async with asyncio.timeout(PROMPT_SECONDS):
        with pytest.raises(DeliveryError) as raised:
            await request
    return raised.value


async def prepare(platform: PlatformHarness, adapter: Adapter, operation: Operation) -> Callable[[], Awaitable[object]]:
    """A request that succeeds unless the platform refuses it."""
    room = platform.room
    if operation is Operation.SEND:
        return lambda: adapter.send(room, Part("hello"), key="1-0")
    if operation is Operation.TYPING:
        return lambda: adapter.show_typing(room)
    message_id = await adapter.send(room, Part("hello"), key="0-0")
    if operation is Operation.EDIT:
        return lambda: adapter.edit(room, message_id, Part("changed"))
    return lambda: adapter.delete(room, message_id)


@pytest.mark.parametrize("operation", [Operation.SEND, Operation.EDIT, Operation.DELETE])
@pytest.mark.parametrize(
    "failure", [failure for failure in DeliveryFailure if failure is not DeliveryFailure.RATE_LIMITED]
)
@needs(Ability.REFUSALS)
async def test_refusal_is_raised_and_has_no_effect(
    platform: PlatformHarness, adapter: Adapter, operation: Operation, failure: DeliveryFailure
) -> None:
    if failure not in platform.refusable:
        pytest.skip(f"{platform.name} does not refuse requests as {failure.value!r}")
    request = await prepare(platform, adapter, operation)
    visible = platform.messages(platform.room)
    platform.refuse_next(operation, failure)
    error = await failure_of(request())
    assert error.failure is failure
    assert (error.retry_after, error.account_wide) == (None, False)
    assert platform.messages(platform.room) == visible


@pytest.mark.parametrize("operation", [Operation.SEND, Operation.EDIT, Operation.DELETE, Operation.TYPING])
@needs(Ability.REFUSALS)
async def test_rate_limit_carries_the_seconds_to_wait(
    platform: PlatformHarness, adapter: Adapter, operation: Operation
) -> None:
    request = await prepare(platform, adapter, operation)
    platform.refuse_next(operation, DeliveryFailure.RATE_LIMITED, retry_after=70)
    error = await failure_of(request())
    assert (error.failure, error.retry_after) == (DeliveryFailure.RATE_LIMITED, 70)
    assert not error.account_wide


@needs(Ability.ACCOUNT_WIDE_LIMITS)
async def test_rate_limit_of_the_account_is_account_wide(platform: PlatformHarness, adapter: Adapter) -> None:
    platform.refuse_next(Operation.SEND, DeliveryFailure.RATE_LIMITED, retry_after=70, account_wide=True)
    error = await failure_of(adapter.send(platform.room, Part("hello"), key="1-0"))
    assert (error.failure, error.retry_after) == (DeliveryFailure.RATE_LIMITED, 70)
    assert error.account_wide


@pytest.mark.parametrize("failure", list(DeliveryFailure))
@needs(Ability.REFUSALS)
async def test_refused_typing_raises_nothing_else(
    platform: PlatformHarness, adapter: Adapter, failure: DeliveryFailure
) -> None:
    if failure not in platform.refusable:
        pytest.skip(f"{platform.name} does not refuse requests as {failure.value!r}")
    platform.refuse_next(Operation.TYPING, failure)
    outcome = (await asyncio.gather(adapter.show_typing(platform.room), return_exceptions=True))[0]
    assert outcome is None or (isinstance(outcome, DeliveryError) and outcome.failure is failure)


@pytest.mark.parametrize("failure", list(DeliveryFailure))
@needs(Ability.REFUSALS)
async def test_refused_draft_is_raised(platform: PlatformHarness, adapter: Adapter, failure: DeliveryFailure) -> None:
    if adapter.capabilities(platform.private_place).preview_mode is not PreviewMode.DRAFT:
        pytest.skip(f"{platform.name} has no drafts: Capabilities.preview_mode")
    assert isinstance(adapter, SupportsDrafts)
    await adapter.show_draft(platform.private_place, 5, Part(""))
    platform.refuse_next(Operation.DRAFT, failure)
    error = await failure_of(adapter.show_draft(platform.private_place, 5, Part("hel")))
    assert error.failure is failure


@needs(Ability.LOST_CONNECTIONS)
async def test_message_whose_reply_is_lost_appears_once(platform: PlatformHarness, adapter: Adapter) -> None:
    """The failure is UNKNOWN, unless sending again with the same key is safe: then it is TRANSIENT."""
    is_safe = adapter.capabilities(platform.room).deduplicates_sends
    platform.lose_next_reply(Operation.SEND)
    error = await failure_of(adapter.send(platform.room, Part("hello"), key="1-0"))
    assert error.failure is (DeliveryFailure.TRANSIENT if is_safe else DeliveryFailure.UNKNOWN)
    if is_safe:
        await adapter.send(platform.room, Part("hello"), key="1-0")
    assert [message.text for message in platform.messages(platform.room)] == ["hello"]


@pytest.mark.parametrize("operation", [Operation.SEND, Operation.EDIT, Operation.DELETE, Operation.TYPING])
@needs(Ability.LOST_CONNECTIONS)
async def test_unreachable_platform_is_transient(
    platform: PlatformHarness, adapter: Adapter, operation: Operation
) -> None:
    request = await prepare(platform, adapter, operation)
    await platform.go_offline()
    assert (await failure_of(request())).failure is DeliveryFailure.TRANSIENT
