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

from bots.discord.errors import DEFAULT_RETRY_SECONDS, to_delivery_error
from core.errors import DeliveryError, DeliveryFailure

__all__ = ["HttpClient", "Json"]

Json = dict[str, object]

USER_AGENT = f"DiscordBot (https://github.com/Rapptz/discord.py, {discord.__version__}) Parley"
MAX_BUCKETS = 2_000
CDN_HOSTS = frozenset({"cdn.discordapp.com", "media.discordapp.net"})
DOWNLOAD_TIMEOUT = aiohttp.ClientTimeout(total=120.0, connect=10.0, sock_read=30.0)


class HttpClient:
    def __init__(self, token: str, api_base: str, *, timeout: float = 15.0) -> None:
        self._api_base = api_base.rstrip("/")
        self._bot_headers = {"Authorization": f"Bot {token}", "User-Agent": USER_AGENT}
        self._anonymous_headers = {"User-Agent": USER_AGENT}
        self._timeout = aiohttp.ClientTimeout(total=timeout, connect=min(timeout, 10.0))
        self._session: aiohttp.ClientSession | None = None
        self._bucket_resets: dict[str, float] = {}
        self._global_reset = 0.0

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        as_bot: bool = True,
        is_idempotent: bool = True,
    ) -> Json:
        """Make one request and return the decoded object ({} where there is none).

        `bot` False: the path holds its own right (an interaction's token). `repeatable`: a second
        request cannot double the first (a nonce, or by nature); it is then made once more when
        the connection is lost in the middle. Raises `DeliveryError`.
        """
        response = await self._request(method, path, body, as_bot=as_bot, is_idempotent=is_idempotent)
        return response if isinstance(response, dict) else {}

    async def get_list(self, path: str) -> list[Json]:
        """Read a list. Raises `DeliveryError`."""
        response = await self._request("GET", path, None, as_bot=True, is_idempotent=True)
        return [row for row in response if isinstance(row, dict)] if isinstance(response, list) else []

    async def _request(self, method: str, path: str, body: object, *, as_bot: bool, is_idempotent: bool) -> object:
        bucket = _bucket(method, path)
        self._check_rate_limits(bucket, as_bot=as_bot)
        was_interrupted = False
        for is_last in (not is_idempotent, True):
            try:
                return await self._send(method, path, body, bucket, as_bot, is_idempotent)
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
                if was_interrupted:
                    break
                raise DeliveryError("Discord cannot be reached.", DeliveryFailure.TRANSIENT) from error
            except (aiohttp.ClientError, TimeoutError, OSError):
                was_interrupted = True
                if is_last:
                    break
        raise DeliveryError(
            "The connection to Discord broke.",
            DeliveryFailure.TRANSIENT if is_idempotent or method != "POST" else DeliveryFailure.UNKNOWN,
        )

    async def download(self, url: str, max_bytes: int) -> bytes:
        """The content of an attachment, of `most` bytes at most, without the bot's right: only
        from where Discord keeps them. Raises `DeliveryError`.
        """
        if not self._is_trusted_host(url):
            raise DeliveryError("That is no file on Discord.", DeliveryFailure.REJECTED)
        content = bytearray()
        try:
            async with self._open_session().get(
                url,
                headers=self._anonymous_headers,
                allow_redirects=False,
                timeout=DOWNLOAD_TIMEOUT,
            ) as response:
                if response.status != 200:
                    fault = DeliveryFailure.TRANSIENT if response.status >= 500 else DeliveryFailure.GONE
                    raise DeliveryError("Discord does not hand out the file.", fault)
                async for chunk in response.content.iter_chunked(65_536):
                    content += chunk
                    if len(content) > max_bytes:
                        raise DeliveryError("The file is too large.", DeliveryFailure.REJECTED)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise DeliveryError("The connection to Discord broke.", DeliveryFailure.TRANSIENT) from error
        return bytes(content)

    def _is_trusted_host(self, url: str) -> bool:
        target, api = urlsplit(url), urlsplit(self._api_base)
        if target.scheme == "https" and target.netloc in CDN_HOSTS:
            return True
        return (target.scheme, target.netloc) == (api.scheme, api.netloc)

    async def close(self) -> None:
        """Close the connections; a later call opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _send(
        self, method: str, path: str, body: object, bucket: str, as_bot: bool, is_idempotent: bool
    ) -> object:
        headers = dict(self._bot_headers if as_bot else self._anonymous_headers)
        data: bytes | None = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = msgspec.json.encode(body)
        async with self._open_session().request(method, self._api_base + path, data=data, headers=headers) as response:
            decoded = _decode(await response.read())
            self._read_rate_limit_headers(bucket, response.headers)
            if response.status < 300:
                return decoded
            error = to_delivery_error(
                response.status,
                decoded,
                response.headers,
                is_idempotent=is_idempotent or method != "POST",
                as_bot=as_bot,
            )
            if response.status == 429:
                self._apply_rate_limit(bucket, error)
            raise error

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(timeout=self._timeout, connector=aiohttp.TCPConnector(limit=256))
        return self._session

    def _check_rate_limits(self, bucket: str, *, as_bot: bool) -> None:
        """Every refused request counts towards a ban (10,000 in ten minutes): make none."""
        now = time.monotonic()
        global_remaining = self._global_reset - now if as_bot else 0.0
        remaining = max(global_remaining, self._bucket_resets.get(bucket, 0.0) - now)
        if remaining > 0:
            raise DeliveryError(
                "Discord asks for patience.",
                DeliveryFailure.RATE,
                retry_after=remaining,
                account_wide=remaining == global_remaining,
            )
        self._bucket_resets.pop(bucket, None)

    def _read_rate_limit_headers(self, bucket: str, headers: Mapping[str, str]) -> None:
        if headers.get("X-RateLimit-Remaining") != "0":
            return
        try:
            seconds = float(headers.get("X-RateLimit-Reset-After", "0"))
        except ValueError:
            return
        self._block_bucket(bucket, seconds)

    def _apply_rate_limit(self, bucket: str, error: DeliveryError) -> None:
        seconds = DEFAULT_RETRY_SECONDS if error.retry_after is None else error.retry_after
        if error.account_wide:
            self._global_reset = max(self._global_reset, time.monotonic() + seconds)
        else:
            self._block_bucket(bucket, seconds)

    def _block_bucket(self, bucket: str, seconds: float) -> None:
        now = time.monotonic()
        if len(self._bucket_resets) >= MAX_BUCKETS:
            self._bucket_resets = {name: until for name, until in self._bucket_resets.items() if until > now}
        if len(self._bucket_resets) < MAX_BUCKETS:
            self._bucket_resets[bucket] = max(self._bucket_resets.get(bucket, 0.0), now + seconds)


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
