"""Starting, reconnecting, restarting and stopping."""

import asyncio
import contextlib
import gc
import time

import pytest

from core.errors import DeliveryError
from core.port import Adapter, ConnectionState, Part, SupportsLiveness
from tests.contract.harness import Ability, PlatformHarness, needs
from tests.waiting import wait_until


async def send_while_stopped(platform: PlatformHarness, adapter: Adapter, next_adapter: Adapter) -> list[str]:
    """The texts that reach the inbox if Ann writes before, between and after the runs of two adapters."""
    async with platform.run(adapter):
        await platform.write(platform.room, "before")
        await platform.inbox.wait_for("before")
    await platform.write(platform.room, "meanwhile")
    async with platform.run(next_adapter):
        await platform.inbox.wait_for("meanwhile")
        await next_adapter.send(platform.room, Part("answer"), key="1-0")
        await platform.write(platform.room, "after")
        await platform.inbox.wait_for("after")
    return [incoming.text for incoming in platform.inbox.stored.values()]


async def test_restarted_adapter_receives_each_message_once(platform: PlatformHarness) -> None:
    adapter = platform.create_adapter()
    assert await send_while_stopped(platform, adapter, adapter) == ["before", "meanwhile", "after"]


@needs(Ability.EVENT_QUEUE)
async def test_next_process_receives_each_message_once(platform: PlatformHarness) -> None:
    adapters = platform.create_adapter(), platform.create_adapter()
    assert await send_while_stopped(platform, *adapters) == ["before", "meanwhile", "after"]


@needs(Ability.EVENT_QUEUE)
async def test_event_that_is_being_stored_at_the_end_comes_again(platform: PlatformHarness) -> None:
    adapter = platform.create_adapter()
    async with platform.run(adapter):
        await platform.write(platform.room, "before")
        await platform.inbox.wait_for("before")
        platform.inbox.may_store.clear()
        await platform.write(platform.room, "hello")
        await wait_until(lambda: len(platform.inbox.received_keys) == 2)
    platform.inbox.may_store.set()
    async with platform.run(adapter):
        await platform.inbox.wait_for("hello")
    assert len(platform.inbox.find("hello")) == 1


@needs(Ability.LOST_CONNECTIONS)
async def test_lost_connections_are_rebuilt(platform: PlatformHarness) -> None:
    adapter = platform.create_adapter()
    async with platform.run(adapter) as run_task:
        await platform.write(platform.room, "before")
        await platform.inbox.wait_for("before")
        await platform.drop_connections()
        await platform.write(platform.room, "hello")
        await platform.inbox.wait_for("hello")
        assert await adapter.send(platform.room, Part("answer"), key="1-0")
        assert not run_task.done()
    assert len(platform.inbox.find("hello")) == 1


async def test_run_can_be_repeated_at_once(platform: PlatformHarness) -> None:
    adapter = platform.create_adapter()
    for text in ("one", "two", "three"):
        async with platform.run(adapter):
            await platform.write(platform.room, text)
            await platform.inbox.wait_for(text)
            await adapter.send(platform.room, Part("answer"), key=text)
    assert len(platform.messages(platform.room)) == 3


async def test_cancelled_run_leaves_no_task_and_no_connection(platform: PlatformHarness) -> None:
    tasks = asyncio.all_tasks()
    adapter = platform.create_adapter()
    async with platform.run(adapter, stop_seconds=5.0):
        await platform.write(platform.private_place, "hello")
        await platform.inbox.wait_for("hello")
        await asyncio.gather(
            adapter.send(platform.private_place, Part("answer"), key="1-0"),
            adapter.show_typing(platform.private_place),
        )
    await wait_until(lambda: asyncio.all_tasks() <= tasks)
    await wait_until(lambda: platform.open_connections() == 0)
    del adapter
    gc.collect()  # forgotten sockets and coroutines become warnings, which fail the test


@pytest.mark.parametrize("cancellations", [1, 2])
async def test_run_that_is_cancelled_while_it_starts_leaves_nothing(
    platform: PlatformHarness, cancellations: int
) -> None:
    tasks = asyncio.all_tasks()
    for steps in range(80):
        run_task = asyncio.create_task(platform.create_adapter().run(platform.inbox))
        for _ in range(steps):
            await asyncio.sleep(0)
        for _ in range(cancellations):
            run_task.cancel()
            await asyncio.sleep(0)
        await asyncio.wait({run_task}, timeout=5)
        assert run_task.cancelled(), steps
        await wait_until(lambda: asyncio.all_tasks() <= tasks)
        gc.collect()  # connections that nobody closed become warnings, which fail the test
    await wait_until(lambda: platform.open_connections() == 0)


async def test_request_after_the_end_opens_no_connection(platform: PlatformHarness) -> None:
    adapter = platform.create_adapter()
    async with platform.run(adapter):
        await adapter.send(platform.room, Part("answer"), key="1-0")
    await wait_until(lambda: platform.open_connections() == 0)
    with contextlib.suppress(DeliveryError):
        await adapter.send(platform.room, Part("late"), key="1-1")
    assert platform.open_connections() == 0
    async with platform.run(adapter):
        await adapter.send(platform.room, Part("next"), key="1-2")


async def test_last_activity_is_in_the_past_or_unknown(platform: PlatformHarness) -> None:
    adapter = platform.create_adapter()
    if not isinstance(adapter, SupportsLiveness):
        pytest.skip(f"{platform.name} cannot fall silent: SupportsLiveness")
    started_at, before = time.monotonic(), adapter.last_activity
    async with platform.run(adapter):
        during = adapter.last_activity
    after = adapter.last_activity
    assert (before, after) == (None, None)
    assert during is None or started_at <= during <= time.monotonic()


async def test_running_adapter_becomes_connected(platform: PlatformHarness) -> None:
    adapter = platform.create_adapter()
    if not isinstance(adapter, SupportsLiveness):
        pytest.skip(f"{platform.name} cannot fall silent: SupportsLiveness")
    before = adapter.connection_state
    async with platform.run(adapter):
        await wait_until(lambda: adapter.connection_state is ConnectionState.CONNECTED)
    assert (before, adapter.connection_state) == (ConnectionState.CONNECTING, ConnectionState.CONNECTING)


async def test_unused_adapter_leaves_nothing(platform: PlatformHarness) -> None:
    tasks = asyncio.all_tasks()
    adapter: Adapter | None = platform.create_adapter()
    assert adapter is not None
    assert (adapter.platform, adapter.account) == (platform.room.platform, platform.room.account)
    adapter = None
    gc.collect()
    assert asyncio.all_tasks() == tasks
