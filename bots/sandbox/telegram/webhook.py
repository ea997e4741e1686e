"""Delivery of updates to the bot's own server, which must be on this machine."""

import asyncio
from ipaddress import ip_address

import aiohttp
import msgspec
from yarl import URL

from bots.sandbox.stand_in import Json
from bots.sandbox.telegram.errors import bad_request
from bots.sandbox.telegram.updates import PendingUpdate, UpdateQueue
from core.clock import Clock

SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 (the header's name)
SECRET_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
RESPONSE_TIMEOUT = aiohttp.ClientTimeout(total=30)
MAX_RETRY_DELAY_SECONDS = 60.0


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
