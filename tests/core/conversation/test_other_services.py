"""Any OpenAI-compatible service: without a key, without quotas, with its own list of models."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from core.app import open_services
from core.errors import ConfigurationError
from core.settings import Settings
from tests.core.api.raw_server import DONE, chunk, final_chunk
from tests.core.turns.fake_adapter import running_engine
from tests.sqlite import sqlite_url

LLAMA = "meta-llama/Llama-3.3-70B-Instruct"
"""A model that IO Intelligence offers, too, with a quota."""

LISTS: dict[str, tuple[str, dict[str, Any]]] = {
    "Ollama": (
        "llama3.2:1b",
        {"object": "list", "data": [{"id": "llama3.2:1b", "object": "model", "created": 1, "owned_by": "library"}]},
    ),
    "LM Studio": (
        "qwen2.5-7b-instruct",
        {
            "data": [
                {"id": "qwen2.5-7b-instruct", "object": "model", "owned_by": "organization_owner"},
                {"id": "text-embedding-nomic-embed-text-v1.5", "object": "model", "owned_by": "organization_owner"},
            ],
            "object": "list",
        },
    ),
    "llama.cpp": (
        "tiny",
        {
            "object": "list",
            "models": [{"name": "tiny", "model": "tiny", "capabilities": ["completion"]}],
            "data": [{"id": "tiny", "object": "model", "owned_by": "llamacpp", "meta": {"n_ctx_train": 2048}}],
        },
    ),
    "vLLM": (
        LLAMA,
        {"object": "list", "data": [{"id": LLAMA, "object": "model", "owned_by": "vllm", "max_model_len": 32768}]},
    ),
    "LiteLLM": ("gpt-4o", {"data": [{"id": "gpt-4o", "object": "model", "created": 1, "owned_by": "openai"}]}),
}


@dataclass
class OtherService:
    models: dict[str, Any]
    base_url: str = ""
    api_key: str = ""
    authorizations: list[str] = field(default_factory=list)

    async def list_models(self, _request: web.Request) -> web.Response:
        return web.json_response(self.models)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.authorizations.append(request.headers.get("Authorization", ""))
        model = (await request.json())["model"]
        if model not in str(self.models):
            return web.json_response({"error": {"message": f"model '{model}' not found"}}, status=404)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await response.write(chunk(content="It works.") + final_chunk() + DONE)
        return response


@asynccontextmanager
async def other_service(name: str) -> AsyncIterator[OtherService]:
    service = OtherService(LISTS[name][1])
    app = web.Application()
    app.router.add_get("/v1/models", service.list_models)
    app.router.add_post("/v1/chat/completions", service.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.base_url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
    try:
        yield service
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("name", LISTS)
async def test_service_works_without_key_and_quota(tmp_path: Path, name: str) -> None:
    model = LISTS[name][0]
    async with (
        other_service(name) as service,
        running_engine(tmp_path, service, api_key=None, default_model=model) as chat,
    ):
        assert await chat.models.refresh()
        assert [model.id for model in chat.models.chat_models()] == [model]
        assert chat.services.ledger.daily_limit(model) is None
        assert await chat.services.api.find_account_problem() is None
        assert await chat.ask("Does it work?") == "It works."


async def test_model_of_service_replaces_default_one(tmp_path: Path) -> None:
    """Only the address is set."""
    async with (
        other_service("Ollama") as service,
        running_engine(tmp_path, service, api_key=None) as chat,
    ):
        assert await chat.models.refresh()
        assert (await chat.ask("Does it work?")).startswith("It works.")


async def test_list_of_another_service_is_not_used(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"api_key": "key", "database_url": sqlite_url(tmp_path)}
    async with other_service("Ollama") as service:
        async with open_services(Settings(**settings, base_url=service.base_url)) as services:
            await services.models.fetch()
        async with open_services(Settings(**settings, base_url="http://127.0.0.1:9/v1", default_model="x")) as services:
            assert not services.models.is_loaded
            assert services.models.chat_models() == []
        async with open_services(Settings(**settings, base_url=service.base_url)) as services:
            assert [model.id for model in services.models.chat_models()] == ["llama3.2:1b"]


async def test_io_intelligence_needs_key(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="IOINTELLIGENCE_API_KEY"):
        async with open_services(Settings(api_key=None, database_url=sqlite_url(tmp_path))):
            pass
