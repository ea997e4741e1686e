"""Events of the model service: streams as they grow, refusals with their responses, other requests, quotas."""

from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from bots.sandbox.model import SPEECH_MODEL, ModelStandIn, make_recording
from bots.sandbox.model.refusals import NO_CREDIT_ERROR, refuse
from bots.sandbox.stand_in import Json
from bots.sandbox.web.event_log import EventLog
from bots.sandbox.web.model_feed import ModelFeed
from core.api.model_data import DEFAULT_EMBEDDING_MODEL
from core.settings.model import DEFAULT_MODEL


class Service:
    """The model service with its feed, and a client that asks it as a bot does."""

    def __init__(self) -> None:
        self.model = ModelStandIn(tokens_per_second=1000)
        self.model.add_model(SPEECH_MODEL)
        self.log = EventLog(self.model.clock)
        self.feed = ModelFeed(self.model, self.log)

    async def post(self, path: str, *, key: str = "", **request: Any) -> None:
        headers = {"Authorization": f"Bearer {key or self.model.api_key}"}
        async with httpx2.AsyncClient() as client:
            await client.post(f"{self.model.base_url}{path}", headers=headers, **request)
        self.feed.announce_changes()

    async def ask(self, prompt: str, key: str = "") -> None:
        body = {"model": DEFAULT_MODEL, "messages": [{"role": "user", "content": prompt}], "stream": True}
        await self.post("chat/completions", key=key, json=body)

    def events(self, event_type: str) -> list[Json]:
        return [event for event in self.log.replay() if event["type"] == event_type]


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    await service.model.start()
    service.feed.start()
    yield service
    await service.feed.close()
    await service.model.close()


async def test_stream_is_followed_with_its_text(service: Service) -> None:
    await service.ask("repeat: a few words")
    await service.ask("repeat: a few words", key="wrong-key")
    requests = {request["state"]: request for request in service.events("model.request")}
    assert requests["done"]["text"] == "a few words"
    assert requests["done"]["context_window"] == service.model.models[DEFAULT_MODEL].context_window
    assert requests["failed"]["status"] == 401
    assert service.model.api_key not in str(service.log.replay())
    assert "wrong-key" not in str(service.log.replay())
    [quotas] = service.events("model.quotas")
    assert quotas["quotas"] == [{"model": DEFAULT_MODEL, "used": service.model.usage[DEFAULT_MODEL], "limit": None}]


async def test_refusals_show_their_responses(service: Service) -> None:
    service.model.fault_hook = refuse("credit")
    await service.ask("Hello")
    service.model.fault_hook = None
    await service.ask("error 500")
    refused, failed = service.events("model.request")
    assert (refused["state"], refused["status"]) == ("failed", 429)
    assert NO_CREDIT_ERROR["error"]["message"] in refused["text"]
    assert (failed["state"], failed["status"], failed["text"]) == ("failed", 500, "Scripted error 500")


async def test_embeddings_and_transcriptions_are_shown(service: Service) -> None:
    await service.post("embeddings", json={"model": DEFAULT_EMBEDDING_MODEL, "input": ["one", "two"]})
    form: dict[str, Any] = {
        "data": {"model": SPEECH_MODEL.id},
        "files": {"file": ("voice.ogg", make_recording("Hello"))},
    }
    await service.post("audio/transcriptions", **form)
    embeddings, speech = service.events("model.request")
    assert (embeddings["endpoint"], embeddings["state"], embeddings["request"]["input"]) == (
        "embeddings", "done", ["one", "two"],
    )  # fmt: skip
    assert embeddings["prompt_tokens"] == service.model.usage[DEFAULT_EMBEDDING_MODEL]
    assert embeddings["text"] == "Vectors of 1024 numbers: 2"
    assert (speech["endpoint"], speech["text"], speech["request"]["file"]) == ("speech", "Hello", "voice.ogg")
    assert len(service.model.requests) == 0, "no completion"


async def test_quota_that_a_switch_used_up_is_announced(service: Service) -> None:
    service.model.quotas[DEFAULT_MODEL] = 0
    service.feed.announce_changes()
    [quotas] = service.events("model.quotas")
    assert quotas["quotas"] == [{"model": DEFAULT_MODEL, "used": 0, "limit": 0}]
