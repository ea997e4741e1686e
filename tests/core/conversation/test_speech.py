"""Which service and model transcribe recordings."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from bots.sandbox.model import SPEECH_MODEL, ModelStandIn, make_recording
from core.api.catalogue import Model
from core.api.client import ModelApi
from core.conversation.api_keys import ApiKey
from core.conversation.model_registry import ModelRegistry
from core.conversation.speech import DEFAULT_SPEECH_MODEL, SpeechRecognition
from core.settings import Settings
from core.store.database import Store
from tests.sqlite import sqlite_url

LISTED = Model("a/listed-whisper", is_speech_model=True)


@pytest.mark.parametrize(
    ("configured", "has_own_service", "listed", "model"),
    [
        ("", False, [], None),
        ("", False, [Model("b/whisper", is_speech_model=True), LISTED, Model("a/chat")], LISTED.id),
        ("", True, [LISTED], DEFAULT_SPEECH_MODEL),
        ("my/whisper", False, [LISTED], "my/whisper"),
        ("my/whisper", True, [], "my/whisper"),
    ],
    ids=["none", "listed", "own service", "configured", "configured of own service"],
)
def test_model_is_the_configured_one_or_that_of_the_service(
    tmp_path: Path, configured: str, has_own_service: bool, listed: Sequence[Model], model: str | None
) -> None:
    api = ModelApi("http://127.0.0.1:1", "key")
    registry = ModelRegistry(api, Store(sqlite_url(tmp_path)), Settings())
    registry.set_models(listed)
    speech = SpeechRecognition(registry, Settings(speech_model=configured), api if has_own_service else None)
    assert speech.model == model


@asynccontextmanager
async def speech_service() -> AsyncIterator[tuple[ModelStandIn, ModelApi]]:
    service = ModelStandIn()
    service.add_model(SPEECH_MODEL)
    await service.start()
    api = ModelApi(service.base_url, service.api_key)
    yield service, api
    await api.close()
    await service.close()


@pytest.mark.parametrize("has_own_service", [False, True])
async def test_operators_speech_service_precedes_the_model_service(tmp_path: Path, has_own_service: bool) -> None:
    settings = Settings(speech_model=SPEECH_MODEL.id)
    async with speech_service() as (service, api), speech_service() as (own_service, own_api):
        registry = ModelRegistry(api, Store(sqlite_url(tmp_path)), settings)
        speech = SpeechRecognition(registry, settings, own_api if has_own_service else None)
        assert await speech.transcribe(ApiKey("key", api), make_recording("Good morning")) == "Good morning"
    used = [transcription.model for transcription in (own_service if has_own_service else service).transcriptions]
    assert used == [SPEECH_MODEL.id]
    assert not (service if has_own_service else own_service).transcriptions
