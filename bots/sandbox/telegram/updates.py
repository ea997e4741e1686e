"""The queue of updates that the bot has not confirmed yet, and what reads it: the long poll or the webhook."""

import asyncio
import itertools
from collections import deque
from dataclasses import dataclass
from ipaddress import ip_address
from typing import NoReturn

import aiohttp
import msgspec
from yarl import URL

from bots.sandbox.stand_in import Json
from bots.sandbox.telegram.errors import ApiError, bad_request
from core.clock import Clock

MAX_UPDATES_PER_POLL = 100
MAX_POLL_SECONDS = 50.0
MAX_PENDING = 100_000
MAX_CONFIRMED = 1_000
"""Confirmed updates are remembered, so that they can be delivered again."""
CONFLICT_PAUSE_SECONDS = 3.0
"""The least time between two conflicts, so that two receivers do not poll at full speed."""
OPT_IN_KINDS = frozenset({"chat_member", "message_reaction", "message_reaction_count"})
CONFLICT_OTHER_POLL = (
    "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running"
)
CONFLICT_WEBHOOK_SET = "Conflict: terminated by setWebhook request"

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 (the header's name)
SECRET_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
RESPONSE_TIMEOUT = aiohttp.ClientTimeout(total=30)
MAX_RETRY_DELAY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class PendingUpdate:
    id: int
    chat_id: int
    """A webhook gets the updates of a chat one after the other."""
    update: Json


class UpdateQueue:
    """Each new update sets `arrived`; the webhook, which waits for it, clears it."""

    def __init__(self, clock: Clock) -> None:
        self.pending: deque[PendingUpdate] = deque(maxlen=MAX_PENDING)
        self.allowed_kinds: tuple[str, ...] = ()
        self.arrived = asyncio.Event()
        self._ids = itertools.count(1)
        self._redeliver_ids: set[int] = set()
        self._redeliveries: deque[PendingUpdate] = deque()
        self._confirmed_updates: deque[PendingUpdate] = deque(maxlen=MAX_CONFIRMED)
        self._poll_waiter: asyncio.Future[None] | None = None
        self._next_conflict_at = 0.0
        self._clock = clock

    def add(self, kind: str, payload: Json, chat_id: int) -> None:
        """Queue an update, if the bot asked for its kind."""
        if kind not in self.allowed_kinds if self.allowed_kinds else kind in OPT_IN_KINDS:
            return
        update_id = next(self._ids)
        self.pending.append(PendingUpdate(update_id, chat_id, {"update_id": update_id, kind: payload}))
        self._wake()

    def _wake(self) -> None:
        self.arrived.set()
        if self._poll_waiter is not None and not self._poll_waiter.done():
            self._poll_waiter.set_result(None)

    def set_allowed_kinds(self, kinds: object) -> None:
        """Set the kinds of updates to queue from now on; anything but a list changes nothing."""
        if isinstance(kinds, list):
            self.allowed_kinds = tuple(str(kind) for kind in kinds)

    def confirm_before(self, offset: int) -> None:
        """Confirm the updates before `offset`. A negative offset keeps that many at the end."""
        if offset < 0:
            while len(self.pending) > -offset:
                self.pending.popleft()
        while offset > 0 and self.pending and self.pending[0].id < offset:
            self._mark_confirmed(self.pending.popleft(), self._redeliveries)

    def confirm(self, update: PendingUpdate) -> None:
        if update in self.pending:
            self.pending.remove(update)
            self._mark_confirmed(update, self.pending)

    def redeliver_last(self, chat_id: int) -> None:
        """Deliver the latest update of a chat once more after it has been confirmed."""
        pending = next((update for update in reversed(self.pending) if update.chat_id == chat_id), None)
        if pending is not None:
            self._redeliver_ids.add(pending.id)
            return
        confirmed = next((update for update in reversed(self._confirmed_updates) if update.chat_id == chat_id), None)
        if confirmed is not None:
            self._redeliveries.append(confirmed)
            self._wake()

    def _mark_confirmed(self, update: PendingUpdate, redeliveries: deque[PendingUpdate]) -> None:
        self._confirmed_updates.append(update)
        if update.id in self._redeliver_ids:
            self._redeliver_ids.remove(update.id)
            redeliveries.append(update)

    async def poll(self, offset: int, limit: int, timeout: float) -> list[Json]:
        """Up to `limit` updates; waits up to `timeout` seconds for the first one.

        Raises `ApiError` when another poll or a webhook takes its place.
        """
        self.confirm_before(offset)
        if self.pending or self._redeliveries or timeout <= 0:
            return self._next_batch(limit)
        self.terminate_poll(CONFLICT_OTHER_POLL)
        waiter = self._poll_waiter = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(min(timeout, MAX_POLL_SECONDS)):
                await waiter
        except TimeoutError:
            return []
        except ApiError as error:
            await self.raise_conflict(error.description)
        finally:
            if self._poll_waiter is waiter:
                self._poll_waiter = None
        return self._next_batch(limit)

    def terminate_poll(self, reason: str) -> None:
        """End the waiting poll with a conflict."""
        if self._poll_waiter is not None and not self._poll_waiter.done():
            self._poll_waiter.set_exception(ApiError(409, reason))

    async def raise_conflict(self, reason: str) -> NoReturn:
        now = self._clock.monotonic()
        if now < self._next_conflict_at:
            await self._clock.sleep(CONFLICT_PAUSE_SECONDS)
        else:
            self._next_conflict_at = now + CONFLICT_PAUSE_SECONDS
        raise ApiError(409, reason)

    def _next_batch(self, limit: int) -> list[Json]:
        size = max(1, min(limit, MAX_UPDATES_PER_POLL))
        redelivered = [self._redeliveries.popleft() for _ in range(min(size, len(self._redeliveries)))]
        pending = itertools.islice(self.pending, size - len(redelivered))
        return [update.update for update in (*redelivered, *pending)]


class Webhook:
    """Posts updates. The next update of a chat follows only after a 2xx answer to the last."""

    def __init__(self, updates: UpdateQueue, params: Json, initial_retry_delay: float, clock: Clock) -> None:
        self.url = _loopback_url(str(params["url"]))
        self._secret = str(params.get("secret_token") or "")
        if len(self._secret) > 256:
            raise bad_request("secret token is too long")
        if not SECRET_CHARACTERS.issuperset(self._secret):
            raise bad_request("secret token contains unallowed characters")
        self._max_connections = min(100, max(1, int(params.get("max_connections") or 40)))
        self._updates = updates
        self._initial_retry_delay = initial_retry_delay
        self._clock = clock
        self._last_error: tuple[int, str] | None = None
        self._deliveries: dict[int, asyncio.Task[None]] = {}  # by chat ID
        self._runner = asyncio.create_task(self._run())

    def info(self) -> Json:
        payload: Json = {"url": str(self.url), "max_connections": self._max_connections}
        if self._last_error is not None:
            payload["last_error_date"], payload["last_error_message"] = self._last_error
        return payload

    async def close(self) -> None:
        tasks = [self._runner, *self._deliveries.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        async with aiohttp.ClientSession(timeout=RESPONSE_TIMEOUT) as session:
            while True:
                self._updates.arrived.clear()
                for pending in list(self._updates.pending):
                    if len(self._deliveries) >= self._max_connections:
                        break
                    if pending.chat_id not in self._deliveries:
                        task = asyncio.create_task(self._deliver(session, pending))
                        self._deliveries[pending.chat_id] = task
                await self._updates.arrived.wait()

    async def _deliver(self, session: aiohttp.ClientSession, pending: PendingUpdate) -> None:
        delay = self._initial_retry_delay
        while not await self._post(session, pending.update):
            await self._clock.sleep(delay)
            delay = min(MAX_RETRY_DELAY_SECONDS, 2 * delay)
        self._updates.confirm(pending)
        del self._deliveries[pending.chat_id]
        self._updates.arrived.set()

    async def _post(self, session: aiohttp.ClientSession, update: Json) -> bool:
        headers = {"Content-Type": "application/json"}
        if self._secret:
            headers[SECRET_HEADER] = self._secret
        body = msgspec.json.encode(update)
        try:
            async with session.post(self.url, data=body, headers=headers, allow_redirects=False) as response:
                if 200 <= response.status <= 299:
                    return True
                reason = f"Wrong response from the webhook: {response.status} {response.reason}"
        except aiohttp.ClientConnectorError:
            reason = "Connection refused"
        except (aiohttp.ClientError, TimeoutError):
            reason = "Connection closed"
        self._last_error = int(self._clock.time()), reason
        return False


def _loopback_url(text: str) -> URL:
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise bad_request("invalid webhook URL specified")
    try:
        is_loopback = url.host == "localhost" or ip_address(url.host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        if url.scheme == "http":
            raise bad_request("bad webhook: An HTTPS URL must be provided for webhook")
        raise bad_request("bad webhook: Failed to resolve host: Name or service not known")
    return url
