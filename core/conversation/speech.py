"""Which service and model transcribe recordings: the operator's speech service, or a model of the model service."""

from core.api.client import ModelApi
from core.conversation.api_keys import ApiKey
from core.conversation.model_registry import ModelRegistry
from core.settings import Settings

DEFAULT_SPEECH_MODEL = "whisper-1"
"""The name under which many servers offer their only model."""


class SpeechRecognition:
    """`speech_api` is the operator's speech service; None: the model service has to have a model for it."""

    def __init__(self, registry: ModelRegistry, settings: Settings, speech_api: ModelApi | None) -> None:
        self._registry = registry
        self._settings = settings
        self._speech_api = speech_api

    @property
    def model(self) -> str | None:
        """None: nothing here transcribes recordings."""
        if self._settings.speech_model:
            return self._settings.speech_model
        return DEFAULT_SPEECH_MODEL if self._speech_api is not None else self._registry.speech_model()

    async def transcribe(self, account: ApiKey, content: bytes) -> str:
        """The words of a recording; empty if there are none. Raises `ModelError`."""
        api = self._speech_api or account.api
        return await api.transcribe(self.model or "", content)
