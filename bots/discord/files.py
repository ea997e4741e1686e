"""Downloads attachments, only from Discord's own hosts."""

from urllib.parse import urlsplit

import aiohttp

from bots.discord.errors import CONNECTION_LOST_TEXT
from bots.discord.http_client import HttpClient
from bots.discord.timings import DiscordTimings
from bots.downloads import read_limited
from core.errors import DeliveryError, DeliveryFailure

CDN_HOSTS = frozenset({"cdn.discordapp.com", "media.discordapp.net"})
CHUNK_BYTES = 65_536


async def download(http: HttpClient, url: str, max_bytes: int, timings: DiscordTimings) -> bytes:
    """The content of the attachment at `url`. Raises `DeliveryError`, also if it exceeds `max_bytes`."""
    if not _is_trusted(url, http.api_base):
        raise DeliveryError("This is not a file on Discord", DeliveryFailure.REJECTED)
    timeout = aiohttp.ClientTimeout(
        total=timings.download_timeout, connect=timings.connect_timeout, sock_read=timings.download_stall_timeout
    )
    try:
        async with http.open_anonymous(url, timeout) as response:
            if response.status != 200:
                failure = DeliveryFailure.TRANSIENT if response.status >= 500 else DeliveryFailure.GONE
                raise DeliveryError("Discord does not provide this file", failure)
            return await read_limited(response.content.iter_chunked(CHUNK_BYTES), max_bytes)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise DeliveryError(CONNECTION_LOST_TEXT, DeliveryFailure.TRANSIENT) from error


def _is_trusted(url: str, api_base: str) -> bool:
    """Whether `url` is on Discord's CDN or on the API's server (the sandbox serves both)."""
    target, api = urlsplit(url), urlsplit(api_base)
    if target.scheme == "https" and target.netloc in CDN_HOSTS:
        return True
    return (target.scheme, target.netloc) == (api.scheme, api.netloc)
