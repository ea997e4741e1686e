"""Discord's REST interface, never waiting for a rate limit.

discord.py's own client sleeps inside a request once a bucket is empty, even when the answer is
already there, and is silent about connections lost in the middle. Pacing belongs to the core, so
here every call returns as soon as Discord has answered, and a spent bucket refuses at once with
the seconds that are left.
"""

import time
from collections.abc import Mapping
from urllib.parse import urlsplit

import aiohttp
import discord
import msgspec

from bots.discord.faults import PATIENCE, classify
from core.errors import DeliveryError, Fault

__all__ = ["Json", "Rest"]

Json = dict[str, object]

USER_AGENT = f"DiscordBot (https://github.com/Rapptz/discord.py, {discord.__version__}) Parley"
MOST_BUCKETS = 2_000
CDN = frozenset({"cdn.discordapp.com", "media.discordapp.net"})
DOWNLOAD = aiohttp.ClientTimeout(total=120.0, connect=10.0, sock_read=30.0)


class Rest:
    def __init__(self, token: str, base: str, *, timeout: float = 15.0) -> None:
        self._base = base.rstrip("/")
        self._bot = {"Authorization": f"Bot {token}", "User-Agent": USER_AGENT}
        self._anonymous = {"User-Agent": USER_AGENT}
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=min(timeout, 10.0))
        self._session: aiohttp.ClientSession | None = None
        self._spent: dict[str, float] = {}
        self._everything = 0.0

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        bot: bool = True,
        repeatable: bool = True,
    ) -> Json:
        """Make one request and return the decoded object ({} where there is none).

        `bot` False: the path holds its own right (an interaction's token). `repeatable`: a second
        request cannot double the first (a nonce, or by nature); it is then made once more when
        the connection is lost in the middle. Raises `DeliveryError`.
        """
        answer = await self._request(method, path, body, bot=bot, repeatable=repeatable)
        return answer if isinstance(answer, dict) else {}

    async def rows(self, path: str) -> list[Json]:
        """Read a list. Raises `DeliveryError`."""
        answer = await self._request("GET", path, None, bot=True, repeatable=True)
        return [row for row in answer if isinstance(row, dict)] if isinstance(answer, list) else []

    async def _request(
        self, method: str, path: str, body: object, *, bot: bool, repeatable: bool
    ) -> object:
        bucket = _bucket(method, path)
        self._refuse_early(bucket, bot=bot)
        lost = False
        for last in (not repeatable, True):
            try:
                return await self._once(method, path, body, bucket, bot, repeatable)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                if lost:
                    break
                raise DeliveryError("Discord cannot be reached.", Fault.TRANSIENT) from error
            except (aiohttp.ClientError, TimeoutError, OSError):
                lost = True
                if last:
                    break
        raise DeliveryError(
            "The connection to Discord broke.",
            Fault.TRANSIENT if repeatable or method != "POST" else Fault.UNKNOWN,
        )

    async def download(self, url: str, most: int) -> bytes:
        """The content of an attachment, of `most` bytes at most, without the bot's right: only
        from where Discord keeps them. Raises `DeliveryError`.
        """
        if not self._is_discords(url):
            raise DeliveryError("That is no file on Discord.", Fault.REJECTED)
        content = bytearray()
        try:
            async with self._open().get(
                url, headers=self._anonymous, allow_redirects=False, timeout=DOWNLOAD
            ) as response:
                if response.status != 200:
                    fault = Fault.TRANSIENT if response.status >= 500 else Fault.GONE
                    raise DeliveryError("Discord does not hand out the file.", fault)
                async for piece in response.content.iter_chunked(65_536):
                    content += piece
                    if len(content) > most:
                        raise DeliveryError("The file is too large.", Fault.REJECTED)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise DeliveryError("The connection to Discord broke.", Fault.TRANSIENT) from error
        return bytes(content)

    def _is_discords(self, url: str) -> bool:
        given, own = urlsplit(url), urlsplit(self._base)
        if given.scheme == "https" and given.netloc in CDN:
            return True
        return (given.scheme, given.netloc) == (own.scheme, own.netloc)

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _once(
        self, method: str, path: str, body: object, bucket: str, bot: bool, repeatable: bool
    ) -> object:
        headers = dict(self._bot if bot else self._anonymous)
        data: bytes | None = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = msgspec.json.encode(body)
        async with self._open().request(
            method, self._base + path, data=data, headers=headers
        ) as response:
            answer = _decode(await response.read())
            self._learn(bucket, response.headers)
            if response.status < 300:
                return answer
            error = classify(
                response.status,
                answer,
                response.headers,
                repeatable=repeatable or method != "POST",
                bot=bot,
            )
            if response.status == 429:
                self._heed(bucket, error)
            raise error

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                timeout=self._timeout, connector=aiohttp.TCPConnector(limit=256)
            )
        return self._session

    def _refuse_early(self, bucket: str, *, bot: bool) -> None:
        """Every refused request counts towards a ban (10,000 in ten minutes): make none."""
        now = time.monotonic()
        everything = self._everything - now if bot else 0.0
        left = max(everything, self._spent.get(bucket, 0.0) - now)
        if left > 0:
            raise DeliveryError(
                "Discord asks for patience.",
                Fault.RATE,
                retry_after=left,
                everywhere=left == everything,
            )
        self._spent.pop(bucket, None)

    def _learn(self, bucket: str, headers: Mapping[str, str]) -> None:
        if headers.get("X-RateLimit-Remaining") != "0":
            return
        try:
            seconds = float(headers.get("X-RateLimit-Reset-After", "0"))
        except ValueError:
            return
        self._spend(bucket, seconds)

    def _heed(self, bucket: str, error: DeliveryError) -> None:
        seconds = PATIENCE if error.retry_after is None else error.retry_after
        if error.everywhere:
            self._everything = max(self._everything, time.monotonic() + seconds)
        else:
            self._spend(bucket, seconds)

    def _spend(self, bucket: str, seconds: float) -> None:
        now = time.monotonic()
        if len(self._spent) >= MOST_BUCKETS:
            self._spent = {name: until for name, until in self._spent.items() if until > now}
        if len(self._spent) < MOST_BUCKETS:
            self._spent[bucket] = max(self._spent.get(bucket, 0.0), now + seconds)


def _bucket(method: str, path: str) -> str:
    """The route with its major parameters: Discord counts messages of a channel together."""
    return f"{method} {'/'.join(path.partition('?')[0].split('/')[:4])}"


def _decode(body: bytes) -> object:
    if not body:
        return None
    try:
        decoded: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body.decode(errors="replace")
    return decoded
