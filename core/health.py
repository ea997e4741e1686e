"""Whether this process is alive, and whether it is ready for traffic.

`Health.run` looks at everything that can die while the process remains: the event loop, the connections to the
platforms and the database. Whoever reports it, over HTTP or to a supervisor, asks the same two questions:

    liveness_problems     Only a new process may help. The event loop was blocked, or all platforms have been out of
                          reach for longer than the adapters' own recovery takes.
    readiness_problems    Send no traffic here for now. The process starts or stops, the database does not answer, or
                          no platform is connected.

A process that stands by, because others poll Telegram or serve all shards, is connected. These are no reasons to
restart: one platform that is unavailable, because the others are served; a platform that lets nobody connect for a
while; and a database that does not answer, because its turns wait for it.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog

from core.errors import StoreError
from core.metrics import NO_METRICS, Metrics
from core.port import Adapter, ConnectionState, SupportsLiveness
from core.store.database import Store
from core.timings import Timings

log = structlog.get_logger(__name__)


class Health:
    """What is wrong with the process that serves these adapters. `run` must run for as long as they do."""

    def __init__(
        self, adapters: Sequence[Adapter], store: Store, timings: Timings = Timings(), *, metrics: Metrics = NO_METRICS
    ) -> None:
        self._adapters = adapters
        self._store = store
        self._timings = timings
        self._metrics = metrics
        self._clock = timings.clock
        self._started_at = self._checked_at = self._clock.monotonic()
        self._last_contact = self._started_at
        """When a platform was last seen connected, or waiting because the platform says so."""
        self._connected_at: dict[str, float] = {}
        """When each platform was last seen connected."""
        self._disconnected: set[str] = set()
        """The platforms whose long disconnection has been logged."""
        self._store_answered_at: float | None = None
        self._is_stopping = False

    def liveness_problems(self) -> list[str]:
        """Why the process should be replaced, for operators; empty while it is alive."""
        problems, now = [], self._clock.monotonic()
        if now - self._checked_at > self._timings.event_loop_timeout:
            problems.append(f"the event loop was blocked for {now - self._checked_at:.0f} s")
        seconds = now - self._last_contact
        if seconds > self._timings.max_disconnection:
            problems.append(f"no platform has been connected for {seconds:.0f} s")
        return problems

    def readiness_problems(self) -> list[str]:
        """Why the process should get no traffic, for operators; empty while it is ready."""
        if self._is_stopping:
            return ["stopping"]
        problems, now = [], self._clock.monotonic()
        if self._store_answered_at is None or now - self._store_answered_at > self._timings.store_silence_timeout:
            problems.append("the database does not answer")
        connected = [at for at in self._connected_at.values() if now - at <= self._timings.tolerated_disconnection]
        if not connected:
            problems.append("no platform is connected")
        return problems

    def stop(self) -> None:
        """The process begins to stop: it is not ready from now on."""
        self._is_stopping = True

    async def run(self) -> None:
        """Check until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._check_platforms())
            group.create_task(self._check_store())

    async def _check_platforms(self) -> None:
        while True:
            now = self._checked_at = self._clock.monotonic()
            for adapter in self._adapters:
                self._check_platform(adapter, now)
            await self._clock.sleep(self._timings.health_check_interval)
            self._metrics.loop_checked(max(0.0, self._clock.monotonic() - now - self._timings.health_check_interval))

    def _check_platform(self, adapter: Adapter, now: float) -> None:
        if self.is_connected(adapter):
            self._connected_at[adapter.platform] = self._last_contact = now
            self._disconnected.discard(adapter.platform)
            return
        if isinstance(adapter, SupportsLiveness) and adapter.connection_state is ConnectionState.WAITING:
            self._last_contact = now
        seconds = now - self._connected_at.get(adapter.platform, self._started_at)
        if seconds > self._timings.max_disconnection and adapter.platform not in self._disconnected:
            self._disconnected.add(adapter.platform)
            log.warning("adapter.disconnected", platform=adapter.platform, seconds=round(seconds))

    def is_connected(self, adapter: Adapter) -> bool:
        """Whether the platform's events arrive here, or in another process."""
        if not isinstance(adapter, SupportsLiveness):
            return True
        last_activity = adapter.last_activity
        is_silent = (
            last_activity is not None
            and self._clock.monotonic() - last_activity > self._timings.adapter_silence_timeout
        )
        is_reached = adapter.connection_state in (ConnectionState.CONNECTED, ConnectionState.STANDBY)
        return is_reached and not is_silent

    async def _check_store(self) -> None:
        while True:
            with suppress(StoreError):
                await self._store.ping()
                self._store_answered_at = self._clock.monotonic()
            await self._clock.sleep(self._timings.store_check_interval)
