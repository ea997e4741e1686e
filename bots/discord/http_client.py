"""Discord's REST API, without waiting for rate limits.

discord.py's own HTTP client sleeps inside a request once a bucket is empty, even if the response has
already arrived, and does not report connections lost halfway. Here a call returns as soon as Discord
has answered. If its bucket is empty, it fails at once with the seconds to wait, because the core paces
the requests.
"""

import io
import mimetypes
from collections.abc import Mapping
from urllib.parse import urlsplit

import aiohttp
import discord
import msgspec

from bots.discord.errors import CONNECTION_LOST_TEXT, DEFAULT_RETRY_SECONDS, RATE_LIMIT_TEXT, to_delivery_error
from bots.discord.timings import DiscordTimings
from bots.downloads import read_limited
from core.bounded_dict import BoundedDict
from core.errors import DeliveryError, DeliveryFailure
from core.i18n.translation import gettext_noop
from core.port import File, RateLimit, RateWindow
from core.proxies import find_proxy

Json = dict[str, object]

USER_AGENT = f"DiscordBot (https://github.com/Rapptz/discord.py, {discord.__version__}) Parley"
MAX_BUCKETS = 2_000
MAX_CONNECTIONS = 256
MAX_WINDOW_SECONDS = 120.0
WINDOW_MARGIN_SECONDS = 0.2
"""Requests do not all take the same time to arrive."""

CDN_HOSTS = frozenset({"cdn.discordapp.com", "media.discordapp.net"})
API_HOST = "discord.com"
STICKER_PATH = "/stickers/"
CHUNK_BYTES = 65_536
NOT_SENT_ERRORS = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)


class HttpClient:
    def __init__(self, token: str, api_base: str, timings: DiscordTimings) -> None:
        self.api_base = api_base.rstrip("/")
        self._proxy = find_proxy(self.api_base)
        self._bot_headers = {"Authorization": f"Bot {token}", "User-Agent": USER_AGENT}
        self._anonymous_headers = {"User-Agent": USER_AGENT}
        self._timeout = aiohttp.ClientTimeout(total=timings.request_timeout, connect=timings.connect_timeout)
        self._upload_timeout = aiohttp.ClientTimeout(total=timings.upload_timeout, connect=timings.connect_timeout)
        self._download_timeout = aiohttp.ClientTimeout(
            total=timings.download_timeout, connect=timings.connect_timeout, sock_read=timings.download_stall_timeout
        )
        self._clock = timings.clock
        self._session: aiohttp.ClientSession | None = None
        self._is_closed = False
        self._bucket_resets: dict[str, float] = {}
        self._windows: BoundedDict[str, RateWindow] = BoundedDict(MAX_BUCKETS)
        """The limits that Discord reports, by bucket."""
        self._global_reset = 0.0

    async def call(
        self, method: str, path: str, body: object = None, *, file: File | None = None, is_idempotent: bool = True
    ) -> Json:
        """Make a request and return the decoded object; {} when the response has none.

        `file` is the content of the attachment that `body` declares with the ID 0.
        An `is_idempotent` request can be repeated without further effect (by nature, or through a nonce);
        it is repeated once if the connection is lost halfway. Raises `DeliveryError`.
        """
        response = await self._request(method, path, body, file, is_idempotent=is_idempotent)
        return response if isinstance(response, dict) else {}

    async def get_list(self, path: str) -> list[Json]:
        """Raises `DeliveryError`."""
        return await self._request_list("GET", path)

    async def put_list(self, path: str, body: list[Json]) -> list[Json]:
        """Replace a list, and return it as Discord has it now. Raises `DeliveryError`."""
        return await self._request_list("PUT", path, body)

    async def _request_list(self, method: str, path: str, body: object = None) -> list[Json]:
        response = await self._request(method, path, body, is_idempotent=True)
        return [row for row in response if isinstance(row, dict)] if isinstance(response, list) else []

    async def download(self, url: str, max_bytes: int) -> bytes:
        """The content of the attachment at `url`, on Discord's own hosts only. Raises `DeliveryError`.

        The request has no token and follows no redirects.
        """
        url = _served_url(url, self.api_base)
        if not _is_trusted(url, self.api_base):
            raise DeliveryError(gettext_noop("This is not a file on Discord"), DeliveryFailure.REJECTED)
        try:
            async with self._open_session().get(
                url,
                headers=self._anonymous_headers,
                allow_redirects=False,
                timeout=self._download_timeout,
                proxy=find_proxy(url),
            ) as response:
                if response.status != 200:
                    failure = DeliveryFailure.TRANSIENT if response.status >= 500 else DeliveryFailure.GONE
                    raise DeliveryError(gettext_noop("Discord does not provide this file"), failure)
                return await read_limited(response.content.iter_chunked(CHUNK_BYTES), max_bytes)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise DeliveryError(CONNECTION_LOST_TEXT, DeliveryFailure.TRANSIENT) from error

    def rate_limit(self, method: str, path: str) -> RateLimit | None:
        """The limit of these requests as Discord reports it; None if it has not yet."""
        window = self._windows.get(_bucket(method, path))
        return None if window is None else (window,)

    def open(self) -> None:
        """Allow requests again after `close`. The first request needs no call."""
        self._is_closed = False

    async def close(self) -> None:
        """Close the connections. Requests fail from now on, also those that are repeated at this moment: the connection
        that they would open would never be closed.
        """
        self._is_closed = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _request(
        self, method: str, path: str, body: object = None, file: File | None = None, *, is_idempotent: bool
    ) -> object:
        bucket = _bucket(method, path)
        self._check_rate_limits(bucket, path)
        was_interrupted = False
        for is_last in (not is_idempotent, True):
            try:
                return await self._send(method, path, body, file, bucket, is_idempotent)
            except NOT_SENT_ERRORS as error:
                if was_interrupted:
                    break
                raise DeliveryError(gettext_noop("Discord cannot be reached"), DeliveryFailure.TRANSIENT) from error
            except (aiohttp.ClientError, TimeoutError, OSError):
                was_interrupted = True
                if is_last or self._is_closed:
                    break
        raise DeliveryError(
            CONNECTION_LOST_TEXT, DeliveryFailure.TRANSIENT if is_idempotent else DeliveryFailure.UNKNOWN
        )

    async def _send(
        self, method: str, path: str, body: object, file: File | None, bucket: str, is_idempotent: bool
    ) -> object:
        as_bot = _uses_bot_token(path)
        headers = dict(self._bot_headers if as_bot else self._anonymous_headers)
        data: bytes | aiohttp.FormData | None = None
        if file is not None:
            data = _form(body, file)
        elif body is not None:
            headers["Content-Type"] = "application/json"
            data = msgspec.json.encode(body)
        timeout = self._timeout if file is None else self._upload_timeout
        async with self._open_session().request(
            method, self.api_base + path, data=data, headers=headers, timeout=timeout, proxy=self._proxy
        ) as response:
            decoded = _decode(await response.read())
            self._read_rate_limit_headers(bucket, response.headers)
            if response.status < 300:
                return decoded
            error = to_delivery_error(
                response.status, decoded, response.headers, is_idempotent=is_idempotent, as_bot=as_bot
            )
            if response.status == 429:
                self._apply_rate_limit(bucket, error)
            raise error

    def _open_session(self) -> aiohttp.ClientSession:
        """Raises `DeliveryError` after `close`."""
        if self._is_closed:
            raise DeliveryError(gettext_noop("Discord cannot be reached"), DeliveryFailure.TRANSIENT)
        if self._session is None or self._session.closed:
            connector = aiohttp.TCPConnector(limit=MAX_CONNECTIONS)
            # Like discord.py, without Cloudflare's cookies: they would cost a third of the processor time of requests.
            cookies = aiohttp.DummyCookieJar()
            self._session = aiohttp.ClientSession(timeout=self._timeout, connector=connector, cookie_jar=cookies)
        return self._session

    def _check_rate_limits(self, bucket: str, path: str) -> None:
        """Refuse locally, because requests refused by Discord count towards a ban (10,000 in ten minutes)."""
        now = self._clock.monotonic()
        global_wait = self._global_reset - now if _uses_bot_token(path) else 0.0
        wait = max(global_wait, self._bucket_resets.get(bucket, 0.0) - now)
        if wait > 0:
            raise DeliveryError(
                RATE_LIMIT_TEXT,
                DeliveryFailure.RATE_LIMITED,
                retry_after=wait,
                account_wide=wait == global_wait,
                is_foreseen=True,
            )
        self._bucket_resets.pop(bucket, None)

    def _read_rate_limit_headers(self, bucket: str, headers: Mapping[str, str]) -> None:
        try:
            limit, remaining = int(headers["X-RateLimit-Limit"]), int(headers["X-RateLimit-Remaining"])
            seconds = float(headers["X-RateLimit-Reset-After"])
        except (KeyError, ValueError):
            return
        if remaining == 0:
            self._block_bucket(bucket, seconds)
        if remaining == limit - 1 and 0 < seconds <= MAX_WINDOW_SECONDS:  # a window has just begun
            self._windows[bucket] = RateWindow(limit, seconds + WINDOW_MARGIN_SECONDS)

    def _apply_rate_limit(self, bucket: str, error: DeliveryError) -> None:
        seconds = DEFAULT_RETRY_SECONDS if error.retry_after is None else error.retry_after
        if error.account_wide:
            self._global_reset = max(self._global_reset, self._clock.monotonic() + seconds)
        else:
            self._block_bucket(bucket, seconds)

    def _block_bucket(self, bucket: str, seconds: float) -> None:
        now = self._clock.monotonic()
        if len(self._bucket_resets) >= MAX_BUCKETS:
            self._bucket_resets = {name: until for name, until in self._bucket_resets.items() if until > now}
        if len(self._bucket_resets) < MAX_BUCKETS:
            self._bucket_resets[bucket] = max(self._bucket_resets.get(bucket, 0.0), now + seconds)


def _form(body: object, file: File) -> aiohttp.FormData:
    form = aiohttp.FormData()
    form.add_field("payload_json", msgspec.json.encode(body).decode(), content_type="application/json")
    media_type = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
    form.add_field("files[0]", io.BytesIO(file.content), filename=file.name, content_type=media_type)
    return form


def _uses_bot_token(path: str) -> bool:
    """False for a path with an interaction's token: it needs no token of the bot and is outside the bot's limit."""
    return not path.startswith(("/interactions/", "/webhooks/"))


def _bucket(method: str, path: str) -> str:
    """The route with its major parameters, because Discord counts all messages of a channel together.

    Adding and removing reactions count together, and apart from messages.
    """
    if "/reactions/" in path:
        method = "REACTION"
    return f"{method} {'/'.join(path.partition('?')[0].split('/')[:4])}"


def _decode(body: bytes) -> object:
    """The decoded JSON, the text if it is not JSON, or None if it is empty."""
    if not body:
        return None
    try:
        decoded: object = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body.decode(errors="replace")
    return decoded


def _served_url(url: str, api_base: str) -> str:
    """The address of a file. discord.py names the CDN for stickers; the sandbox serves them itself."""
    target, api = urlsplit(url), urlsplit(api_base)
    if target.netloc not in CDN_HOSTS or not target.path.startswith(STICKER_PATH) or api.hostname == API_HOST:
        return url
    return target._replace(scheme=api.scheme, netloc=api.netloc).geturl()


def _is_trusted(url: str, api_base: str) -> bool:
    """Whether `url` is on Discord's CDN or on the API's server (the sandbox serves both)."""
    target, api = urlsplit(url), urlsplit(api_base)
    if target.scheme == "https" and target.netloc in CDN_HOSTS:
        return True
    return (target.scheme, target.netloc) == (api.scheme, api.netloc)
