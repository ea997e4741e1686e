"""The openai package's client. Importing this module takes a third of the time in which the bot starts."""

import httpx2
import msgspec
import openai
from openai import AsyncOpenAI

from core.api.response_body import truncate_error_body
from core.api.transport import AiohttpTransport

CLIENT_ERRORS = (openai.OpenAIError, httpx2.HTTPError, msgspec.DecodeError, TimeoutError)
"""What requests raise."""


def create_client(base_url: str, api_key: str, *, connect_timeout: float, read_timeout: float) -> AsyncOpenAI:
    """Time limits are in seconds."""
    return AsyncOpenAI(
        base_url=base_url,
        api_key=api_key,
        max_retries=0,
        timeout=httpx2.Timeout(read_timeout, connect=connect_timeout),
        # The size of a compressed body is unknown until it is decompressed.
        default_headers={"Accept-Encoding": "identity"},
        http_client=openai.DefaultAsyncHttpx2Client(
            transport=AiohttpTransport(base_url, connect_timeout=connect_timeout),
            event_hooks={"response": [truncate_error_body]},
        ),
    )
