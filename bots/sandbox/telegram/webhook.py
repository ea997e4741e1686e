"""Delivery of updates to the bot's own server, on this machine only."""

import asyncio
import time
from ipaddress import ip_address

import aiohttp
import msgspec
from yarl import URL

from bots.sandbox.telegram.refusal import bad
from bots.sandbox.telegram.updates import Pending, Updates
from bots.sandbox.telegram.world import Json

__all__ = ["Webhook"]

SECRET = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 (the header's name)
SECRET_CHARACTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
ANSWERED = aiohttp.ClientTimeout(total=30)
LONGEST_DELAY = 60.0  # seconds between tries


class Webhook:
    """One chat's next update follows only when the last was answered with 2xx."""

    def __init__(self, updates: Updates, params: Json, first_delay: float) -> None:
        self.url = _address(str(params["url"]))
        self._secret = str(params.get("secret_token") or "")
        if len(self._secret) > 256:
            raise bad("secret token is too long")
        if not SECRET_CHARACTERS.issuperset(self._secret):
            raise bad("secret token contains unallowed characters")
        self._most = min(100, max(1, int(params.get("max_connections") or 40)))
        self._updates = updates
        self._first_delay = first_delay
        self._error: tuple[int, str] | None = None
        self._deliveries: dict[int, asyncio.Task[None]] = {}  # by chat
        self._runner = asyncio.create_task(self._run())

    def info(self) -> Json:
        shown: Json = {"url": str(self.url), "max_connections": self._most}
        if self._error is not None:
            shown["last_error_date"], shown["last_error_message"] = self._error
        return shown

    async def close(self) -> None:
        tasks = [self._runner, *self._deliveries.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self) -> None:
        async with aiohttp.ClientSession(timeout=ANSWERED) as session:
            while True:
                self._updates.arrived.clear()
                for pending in list(self._updates.pending):
                    if len(self._deliveries) >= self._most:
                        break
                    if pending.chat not in self._deliveries:
                        task = asyncio.create_task(self._deliver(session, pending))
                        self._deliveries[pending.chat] = task
                await self._updates.arrived.wait()

    async def _deliver(self, session: aiohttp.ClientSession, pending: Pending) -> None:
        delay = self._first_delay
        while not await self._post(session, pending.update):
            await asyncio.sleep(delay)
            delay = min(LONGEST_DELAY, 2 * delay)
        self._updates.drop(pending)
        del self._deliveries[pending.chat]
        self._updates.arrived.set()

    async def _post(self, session: aiohttp.ClientSession, update: Json) -> bool:
        headers = {"Content-Type": "application/json"}
        if self._secret:
            headers[SECRET] = self._secret
        body = msgspec.json.encode(update)
        try:
            async with session.post(
                self.url, data=body, headers=headers, allow_redirects=False
            ) as response:
                if 200 <= response.status <= 299:
                    return True
                reason = f"Wrong response from the webhook: {response.status} {response.reason}"
        except aiohttp.ClientConnectorError:
            reason = "Connection refused"
        except (aiohttp.ClientError, TimeoutError):
            reason = "Connection closed"
        self._error = int(time.time()), reason
        return False


def _address(text: str) -> URL:
    try:
        url = URL(text)
    except ValueError:
        url = URL()
    if url.scheme not in {"http", "https"} or not url.host:
        raise bad("invalid webhook URL specified")
    try:
        local = url.host == "localhost" or ip_address(url.host).is_loopback
    except ValueError:
        local = False
    if not local:
        if url.scheme == "http":
            raise bad("bad webhook: An HTTPS URL must be provided for webhook")
        raise bad("bad webhook: Failed to resolve host: Name or service not known")
    return url
