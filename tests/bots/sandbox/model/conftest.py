"""The model's stand-in with the real openai client in front of it."""

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
from tests import api_specs

LLAMA = "meta-llama/Llama-3.3-70B-Instruct"
R1 = "deepseek-ai/DeepSeek-R1"
TINY = "nvidia/AceMath-7B-Instruct"
EMBEDDER = "mixedbread-ai/mxbai-embed-large-v1"


def conversation(*texts: str) -> list[Any]:
    """Messages of a person and a model in turn, the person first."""
    roles = ("user", "assistant")
    return [{"role": roles[at % 2], "content": text} for at, text in enumerate(texts)]


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
        """(prompt, completion) of every chunk that has one."""
        found = [chunk["usage"] for chunk in self.chunks if chunk.get("usage")]
        return [(usage["prompt_tokens"], usage["completion_tokens"]) for usage in found]


class OpenAIClient:
    """The openai package against a stand-in, and plain HTTP where it hides something."""

    def __init__(self, server: ModelStandIn, key: str | None = None) -> None:
        self.server = server
        self.openai = openai.AsyncOpenAI(
            base_url=server.base_url, api_key=key or server.api_key, max_retries=0, timeout=20
        )
        self._key = key or server.api_key

    async def complete(self, *texts: str, model: str = LLAMA, **more: Any) -> dict[str, Any]:
        raw = await self.openai.chat.completions.with_raw_response.create(
            model=model, messages=conversation(*texts), **more
        )
        body: dict[str, Any] = msgspec.json.decode(raw.content)
        return body

    async def stream(self, *texts: str, model: str = LLAMA, **more: Any) -> StreamedAnswer:
        heard = StreamedAnswer()
        stream = await self.openai.chat.completions.create(
            model=model, messages=conversation(*texts), stream=True, **more
        )
        async with stream:
            async for chunk in stream:
                heard.chunks.append(chunk.model_dump(exclude_unset=True))
        return heard

    async def http(
        self, method: str, path: str, body: object = None, *, headers: dict[str, str] | None = None
    ) -> tuple[int, Any, dict[str, str]]:
        """Status, body (decoded where it is JSON) and headers in lower case."""
        plain = body is None or isinstance(body, bytes | io.BytesIO)
        data = body if plain else msgspec.json.encode(body)
        given = {"Authorization": f"Bearer {self._key}"} if headers is None else headers
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, self.server.base_url + path, data=data, headers=given) as answer,
        ):
            said: Any = await answer.read()
            with contextlib.suppress(msgspec.DecodeError):
                said = msgspec.json.decode(said)
            return answer.status, said, {k.lower(): v for k, v in answer.headers.items()}

    async def close(self) -> None:
        await self.openai.close()


@pytest.fixture
async def server() -> AsyncIterator[ModelStandIn]:
    made = ModelStandIn(tokens_per_second=50_000)
    await made.start()
    yield made
    await made.close()


@pytest.fixture
async def client(server: ModelStandIn) -> AsyncIterator[OpenAIClient]:
    made = OpenAIClient(server)
    yield made
    await made.close()


@pytest.fixture
def described() -> None:
    """The test needs the API's description."""
    api_specs.require_specs()
