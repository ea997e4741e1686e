"""The data model of the core's settings. Adapters declare theirs in their own folders (`bots/telegram/settings.py`).

To add a setting, add a field. Its name is the key in `parley.toml`.
"""

from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

import platformdirs
from pydantic import AfterValidator, BeforeValidator

from core.settings.parsing import (
    MAX_DAILY_TOKENS,
    MAX_INSTRUCTIONS_CHARS,
    ApiToken,
    ContextSizes,
    DatabaseUrl,
    EncryptionKey,
    HostPort,
    HttpUrl,
    ModelId,
    ModelIds,
    Personas,
    Successors,
    TokenQuotas,
)
from core.settings.section import SettingsSection, setting

DEFAULT_MODEL = "meta-llama/Llama-3.3-70B-Instruct"
IO_INTELLIGENCE_URL = "https://api.intelligence.io.solutions/api/v1/"
MAX_MESSAGES = 1_000_000
MIN_ANSWER_TOKENS = 16
MIN_RETENTION_DAYS = 2
"""Platforms deliver an event again for a day."""

model_setting = partial(setting, group="Models")
timeout_setting = partial(setting, group="Timeouts", ge=0.1, le=3600)
load_setting = partial(setting, group="Load", ge=1)
daily_limit = partial(setting, group="Daily limits", ge=0)
retention_setting = partial(setting, group="Retention", le=36_500)


class AccessMode(StrEnum):
    PAIRING = "pairing"
    OPEN = "open"


class SharedSettings(StrEnum):
    """Who may change what holds for everyone in a group or channel."""

    MANAGERS = "managers"
    EVERYONE = "everyone"


def _use_default_database(value: object) -> object:
    return value or f"sqlite:///{Path(platformdirs.user_data_dir('parley')) / 'parley.sqlite3'}"


def _complete_address(value: object) -> object:
    """A port alone means the loopback interface."""
    text = str(value).strip() if isinstance(value, str | int) else ""
    return f"127.0.0.1:{text}" if text.isdecimal() else value or None


def _validate_answer_tokens(value: int) -> int:
    if 0 < value < MIN_ANSWER_TOKENS:
        raise ValueError(f"must be 0 or at least {MIN_ANSWER_TOKENS}")
    return value


def _validate_days(value: int) -> int:
    if 0 < value < MIN_RETENTION_DAYS:
        raise ValueError(f"must be 0 or at least {MIN_RETENTION_DAYS}")
    return value


RetentionDays = Annotated[int, AfterValidator(_validate_days)]


class Settings(SettingsSection):
    """What the core reads."""

    title = "General"

    api_key: ApiToken = setting(
        "IOINTELLIGENCE_API_KEY",
        None,
        "API key of the model service. Required for IO Intelligence",
        example="io-v2-...",
    )
    access: AccessMode = setting(
        "PARLEY_ACCESS",
        AccessMode.PAIRING,
        "Who may use the bot. pairing: people and chats that paired or were allowed; open: everyone",
    )
    database_url: Annotated[DatabaseUrl, BeforeValidator(_use_default_database)] = setting(
        "DATABASE_URL",
        None,
        "sqlite:///PATH for one process, postgresql://... for one or many (TLS: ?sslmode=require). "
        "A URL with a password belongs in the environment, or in the file that DATABASE_URL_FILE names. "
        "Default: a file in the user's data directory",
        example="sqlite:////var/lib/parley/parley.sqlite3",
        may_contain_secret=True,
        validate_default=True,
    )
    secret_key: EncryptionKey = setting(
        "PARLEY_SECRET_KEY",
        None,
        "Encrypts people's own API keys. Enables /key. Keep it: without it, stored keys cannot be read",
        example="a long random text: openssl rand -base64 32",
    )
    answer_messages: int = setting(
        "PARLEY_ANSWER_MESSAGES",
        4,
        "Messages that an answer may take: fewer if they are rich messages, which are longer. A file contains the "
        "whole of a longer answer",
        ge=1,
        le=50,
    )
    shared_settings: SharedSettings = setting(
        "PARLEY_SHARED_SETTINGS",
        SharedSettings.MANAGERS,
        "Who may change the model, the instructions and other settings for everyone in a group or channel: managers "
        "(administrators) or everyone",
    )
    max_images: int = setting(
        "PARLEY_MAX_IMAGES",
        5,
        "Pictures that a model with vision gets with one question. 0: none",
        ge=0,
        le=10,
    )
    image_side: int = setting(
        "PARLEY_IMAGE_SIDE",
        1280,
        "The longest side of pictures for models, in pixels. Larger ones are scaled down. A square picture costs about "
        "(side / 28)² tokens",
        ge=200,
        le=4096,
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting(
        "PARLEY_LOG_LEVEL", "info", "Minimum level of log lines"
    )

    monitoring_listen: Annotated[HostPort | None, BeforeValidator(_complete_address)] = setting(
        "PARLEY_MONITORING_LISTEN",
        None,
        "HOST:PORT at which the bot answers /healthz, /readyz and /metrics, without a password. A port alone means "
        "127.0.0.1. With --workers, each further process uses the next port. Unset: the bot does not listen",
        example="9464",
    )
    traces_url: HttpUrl | None = setting(
        "PARLEY_TRACES_URL",
        None,
        "Where to send traces of turns: the URL of an OpenTelemetry collector (OTLP over HTTP). Needs parley[tracing]",
        example="http://127.0.0.1:4318/v1/traces",
    )

    base_url: HttpUrl = model_setting(
        "IOINTELLIGENCE_BASE_URL",
        IO_INTELLIGENCE_URL,
        "Base URL of the model service. Any OpenAI-compatible API works",
    )
    default_model: ModelId = model_setting(
        "PARLEY_DEFAULT_MODEL",
        DEFAULT_MODEL,
        "Model for chats that have not chosen one. Its full name, as `parley models` lists it",
    )
    embedding_model: ModelId = model_setting(
        "PARLEY_EMBEDDING_MODEL",
        "mixedbread-ai/mxbai-embed-large-v1",
        "Model that embeds notes and files for search. After a change, everything stored is embedded again",
    )
    speech_url: HttpUrl | None = model_setting(
        "PARLEY_SPEECH_URL",
        None,
        "Base URL of a service with OpenAI's API for transcriptions (POST audio/transcriptions) for voice messages. "
        "Default: the model service, if it lists a speech model",
        example="http://127.0.0.1:8000/v1/",
    )
    speech_key: ApiToken = model_setting(
        "PARLEY_SPEECH_KEY", None, "API key of the service at PARLEY_SPEECH_URL", example="a secret"
    )
    speech_model: str = model_setting(
        "PARLEY_SPEECH_MODEL",
        "",
        "Model that transcribes voice messages. Default: the one that the model service lists, or whisper-1 with "
        "PARLEY_SPEECH_URL",
        example="openai/whisper-large-v3",
        max_length=200,
    )
    system_prompt: str = model_setting(
        "PARLEY_SYSTEM_PROMPT",
        "You are a helpful assistant in a chat. Answer in the language of the person, "
        "in Markdown, as briefly as the question allows.",
        "Instructions for chats without their own /system or /persona",
        max_length=MAX_INSTRUCTIONS_CHARS,
    )
    personas: Personas = model_setting(
        "PARLEY_PERSONAS",
        {},
        "Instructions by name that people can pick with /persona. In the environment: JSON",
        example={"teacher": "Explain it step by step."},
    )
    contexts: ContextSizes = model_setting(
        "PARLEY_CONTEXTS",
        {},
        "Context windows in tokens, per model. They override the service's list of models",
        example={DEFAULT_MODEL: 128_000},
    )
    quotas: TokenQuotas = model_setting(
        "PARLEY_QUOTAS",
        {},
        'Daily tokens per model. They override the service\'s list of models. "*" means every model, 0 means no limit',
        example={DEFAULT_MODEL: 500_000, "*": 1_000_000},
    )
    fallbacks: ModelIds = model_setting(
        "PARLEY_FALLBACKS",
        (),
        "Models to try, in this order, when the chosen one cannot answer. Default: the most similar ones",
        example=("microsoft/phi-4", "Qwen/Qwen2.5-Coder-32B-Instruct"),
    )
    successors: Successors = model_setting(
        "PARLEY_SUCCESSORS",
        {},
        "Replacements for models that the service no longer offers",
        example={"old/model": DEFAULT_MODEL},
    )
    max_answer_tokens: Annotated[int, AfterValidator(_validate_answer_tokens)] = model_setting(
        "PARLEY_MAX_ANSWER_TOKENS",
        0,
        "Maximum answer length in tokens for chats without their own /settings length. 0: the model's limit",
        ge=0,
        le=1_000_000,
    )

    first_token_timeout: float = timeout_setting(
        "PARLEY_FIRST_TOKEN_TIMEOUT", 120, "Seconds a model may take before it starts to answer"
    )
    reasoning_timeout: float = timeout_setting(
        "PARLEY_REASONING_TIMEOUT",
        600,
        "Seconds a model that is known to reason may take before it starts to answer. Some services send nothing while "
        "it reasons",
    )
    stall_timeout: float = timeout_setting("PARLEY_STALL_TIMEOUT", 60, "Seconds a model may pause during an answer")
    answer_timeout: float = timeout_setting(
        "PARLEY_ANSWER_TIMEOUT", 900, "Seconds an answer may take in total", le=36_000
    )
    too_old: float = timeout_setting(
        "PARLEY_TOO_OLD",
        600,
        "Seconds after which a waiting question is no longer answered. The person is told, and /retry answers it",
        ge=1,
        le=604_800,
    )

    turns_at_once: int = load_setting(
        "PARLEY_TURNS_AT_ONCE", 200, "Answers that one process writes at the same time", le=10_000
    )
    queue_length: int = load_setting("PARLEY_QUEUE_LENGTH", 5, "Messages that may wait in one conversation", le=100)
    open_turns: int = load_setting(
        "PARLEY_OPEN_TURNS", 15, "Unanswered messages that one person may have, in all chats", le=10_000
    )
    messages_a_minute: int = load_setting(
        "PARLEY_MESSAGES_A_MINUTE", 40, "Messages accepted from one person per minute", le=MAX_MESSAGES
    )

    person_tokens: int = daily_limit(
        "PARLEY_PERSON_TOKENS", 0, "Tokens per person and day. 0: no limit", le=MAX_DAILY_TOKENS
    )
    person_messages: int = daily_limit(
        "PARLEY_PERSON_MESSAGES", 0, "Questions per person and day. 0: no limit", le=MAX_MESSAGES
    )
    chat_tokens: int = daily_limit(
        "PARLEY_CHAT_TOKENS", 0, "Tokens per group or channel and day. 0: no limit", le=MAX_DAILY_TOKENS
    )
    chat_messages: int = daily_limit(
        "PARLEY_CHAT_MESSAGES", 0, "Questions per group or channel and day. 0: no limit", le=MAX_MESSAGES
    )
    quota_reset_hour: int = daily_limit(
        "PARLEY_QUOTA_RESET_HOUR", 0, "Hour of the day (UTC) at which limits reset", le=23
    )

    button_days: int = retention_setting(
        "PARLEY_BUTTON_DAYS",
        30,
        "Days for which the buttons under an answer work. Then the record of the question is deleted, but not the "
        "conversation",
        ge=MIN_RETENTION_DAYS,
    )
    reasoning_days: int = retention_setting(
        "PARLEY_REASONING_DAYS", 7, "Days for which the reasoning of an answer can be shown", ge=1
    )
    history_days: RetentionDays = retention_setting(
        "PARLEY_HISTORY_DAYS",
        0,
        "Days after which messages and summaries are deleted from conversations, with the buttons under the answers. "
        "0: never",
        ge=0,
    )
    inactive_days: RetentionDays = retention_setting(
        "PARLEY_INACTIVE_DAYS",
        0,
        "Days without a message after which a conversation is deleted, with its notes and files. 0: never",
        ge=0,
    )
    memory_days: RetentionDays = retention_setting(
        "PARLEY_MEMORY_DAYS", 0, "Days after which notes and files are deleted. 0: never", ge=0
    )
    usage_days: int = retention_setting(
        "PARLEY_USAGE_DAYS", 90, "Days for which the daily token counts stay in the database", ge=MIN_RETENTION_DAYS
    )

    @property
    def uses_io_intelligence(self) -> bool:
        """Whether the model service is IO Intelligence, whose key, models and quotas are known."""
        return urlsplit(self.base_url).hostname == urlsplit(IO_INTELLIGENCE_URL).hostname
