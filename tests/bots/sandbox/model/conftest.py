"""The real openai client, connected to the model stand-in."""

import contextlib
import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import msgspec
import openai
import pytest

from bots.sandbox.model import ModelStandIn

LLAMA = "meta-llama/Llama-3.3-70B-Instruct"
R1 = "deepseek-ai/DeepSeek-R1"
TINY = "nvidia/AceMath-7B-Instruct"
EMBEDDER = "mixedbread-ai/mxbai-embed-large-v1"


def conversation(*texts: str) -> list[Any]:
    """Messages of the user and the assistant in turn."""
    roles = ("user", "assistant")
    return [{"role": roles[index % 2], "content": text} for index, text in enumerate(texts)]


@dataclass
class StreamedAnswer:
    """A streamed answer as a client sees it."""

    chunks: list[dict[str, Any]] = field(default_factory=list)

    def _joined(self, name: str) -> str:
        deltas = [c["choices"][0]["delta"] for c in self.chunks if c.get("choices")]
        return "".join(delta.get(name) or "" for delta in deltas)

    @property
    def text(self) -> str:
        return self._joined("content")

    @property
    def reasoning(self) -> str:
        return self._joined("reasoning_content") or self._joined("reasoning")

    @property
    def finish_reasons(self) -> list[str]:
        return [
            choice["finish_reason"]
            for chunk in self.chunks
            for choice in chunk.get("choices") or ()
            if choice.get("finish_reason")
        ]

    @property
    def usages(self) -> list[tuple[int, int]]:
        """Tokens of the prompt and of the completion, of every chunk with usage."""
        usages = [chunk["usage"] for chunk in self.chunks if chunk.get("usage")]
        return [(usage["prompt_tokens"], usage["completion_tokens"]) for usage in usages]


class OpenAIClient:
    """The openai package, and plain HTTP for what the package hides."""

    def __init__(self, server: ModelStandIn, key: str | None = None) -> None:
        self.server = server
        self.openai = openai.AsyncOpenAI(
            base_url=server.base_url, api_key=key or server.api_key, max_retries=0, timeout=20
        )
        self._key = key or server.api_key

    async def complete(self, *texts: str, model: str = LLAMA, **options: Any) -> dict[str, Any]:
        raw = await self.openai.chat.completions.with_raw_response.create(
            model=model, messages=conversation(*texts), **options
        )
        body: dict[str, Any] = msgspec.json.decode(raw.content)
        return body

    async def stream(self, *texts: str, model: str = LLAMA, **options: Any) -> StreamedAnswer:
        answer = StreamedAnswer()
        stream = await self.openai.chat.completions.create(
            model=model, messages=conversation(*texts), stream=True, **options
        )
        async with stream:
            async for chunk in stream:
                answer.chunks.append(chunk.model_dump(exclude_unset=True))
        return answer

    async def http(
        self, method: str, path: str, body: object = None, *, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, body (decoded if it is JSON) and headers in lower case."""
        is_raw = body is None or isinstance(body, bytes | io.BytesIO)
        data = body if is_raw else msgspec.json.encode(body)
        headers = {"Authorization": f"Bearer {self._key}"} if headers is None else headers
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.server.base_url + path, data=data, headers=headers) as response,
        ):
            content: Any = await response.read()
            with contextlib.suppress(msgspec.DecodeError):
                content = msgspec.json.decode(content)
            return response.status, content, {name.lower(): value for name, value in response.headers.items()}

    async def close(self) -> None:
        await self.openai.close()


@pytest.fixture
async def server() -> AsyncIterator[ModelStandIn]:
    server = ModelStandIn(tokens_per_second=50_000)
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def client(server: ModelStandIn) -> AsyncIterator[OpenAIClient]:
    client = OpenAIClient(server)
    yield client
    await client.close()
