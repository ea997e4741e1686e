"""`parley run`: serve every enabled platform until a signal, and exit in time whatever hangs."""

import asyncio
import faulthandler
import gc
import os
import signal
import threading
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack, suppress
from types import FrameType
from typing import TYPE_CHECKING

from bots.adapter_spec import AdapterSpec
from bots.adapters import ADAPTERS, create_adapters
from bots.service_notifier import ServiceNotifier
from bots.trace_export import exporting_traces
from core.app import open_services, serve
from core.clock import run_until
from core.health import Health
from core.metrics import NO_METRICS
from core.settings import LoadedSettings, Settings
from core.timings import Timings

if TYPE_CHECKING:
    from bots.monitoring_server import MonitoringServer

GC_THRESHOLD = 20_000
"""How many new objects start a collection: with Python's 700, collections take one sixteenth of a busy bot's time."""


async def run_bot(
    settings: LoadedSettings,
    *,
    show_pairing_code: Callable[[str], None],
    specs: Sequence[AdapterSpec] = ADAPTERS,
    timings: Timings = Timings(),
) -> None:
    """Serve until SIGINT or SIGTERM. `timings.exit_deadline` after the signal the process is ended by force.

    Raises `ConfigurationError` and `UnavailableError`.
    """
    with suppress(OSError, ValueError):  # where there is no file for errors
        faulthandler.enable()  # a process that its service manager aborts, because it hangs, says where
    stop_requested = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(_number: int, _frame: FrameType | None) -> None:
        # Unfinished turns are not lost: the next process continues them.
        forced_exit = threading.Timer(timings.exit_deadline, os._exit, (1,))
        forced_exit.daemon = True
        forced_exit.start()
        loop.call_soon_threadsafe(stop_requested.set)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)  # not loop.add_signal_handler: the loop may be what hangs
    notifier = ServiceNotifier.from_environment(clock=timings.clock)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(notifier.running(stop_requested))
        monitoring = _create_monitoring_server(settings.core)
        metrics = monitoring.metrics if monitoring else NO_METRICS
        if monitoring is not None:
            await stack.enter_async_context(monitoring.running())
        tracer = await stack.enter_async_context(exporting_traces(settings.core))
        services = await run_until(
            stop_requested,
            stack.enter_async_context(open_services(settings.core, timings=timings, metrics=metrics, tracer=tracer)),
        )
        if services is None:
            return
        await run_until(stop_requested, stack.enter_async_context(services.store.exclusive()))
        if not stop_requested.is_set():
            adapters = create_adapters(settings, services, specs)
            gc.freeze()  # what exists now stays, so that collections need not search it
            gc.set_threshold(GC_THRESHOLD)
            gc.enable()
            health = Health(adapters, services.store, timings, metrics=metrics)
            notifier.watch(health)
            if monitoring is not None:
                stack.enter_context(monitoring.watching(services, adapters, health))
            await serve(services, adapters, stop_requested, show_pairing_code=show_pairing_code, health=health)


def _create_monitoring_server(settings: Settings) -> "MonitoringServer | None":
    if settings.monitoring_listen is None:
        return None
    from bots.monitoring_server import MonitoringServer

    return MonitoringServer(settings.monitoring_listen)


def create_stop_event() -> asyncio.Event:
    """An event that SIGINT and SIGTERM set."""
    stop_requested = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop_requested.set)
    return stop_requested
