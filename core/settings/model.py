"""The data model of the core's settings. Adapters declare theirs in their own folders (`bots/telegram/settings.py`).

To add a setting, add a field. Its name is the key in `parley.toml`.
"""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from pydantic import AfterValidator, BeforeValidator

from core.settings.parsing import (
    MAX_DAILY_TOKENS,
    MAX_INSTRUCTIONS_CHARS,
    ApiToken,
    ContextSizes,
    DatabaseUrl,
    EncryptionKey,
    HttpUrl,
    ModelId,
    ModelIds,
    Personas,
    Successors,
    TokenQuotas,
)
from core.settings.section import SettingsSection, setting

__all__ = ["AccessMode", "Settings"]

DEFAULT_MODEL = "meta-llama/Llama-3.3-70B-Instruct"
MAX_MESSAGES = 1_000_000
MIN_ANSWER_TOKENS = 16

MODELS = "Models"
TIMEOUTS = "Timeouts"
LOAD = "Load"
DAILY_LIMITS = "Daily limits"


class AccessMode(StrEnum):
    PAIRING = "pairing"
    OPEN = "open"


def _use_default_database(value: object) -> object:
    return value or f"sqlite:///{Path(platformdirs.user_data_dir('parley')) / 'parley.sqlite3'}"


def _validate_answer_tokens(value: int) -> int:
    if 0 < value < MIN_ANSWER_TOKENS:
        raise ValueError(f"must be 0 or at least {MIN_ANSWER_TOKENS}")
    return value


class Settings(SettingsSection):
    """What the core reads."""

    title = "General"

    api_key: ApiToken = setting(
        "IOINTELLIGENCE_API_KEY", None, "API key of IO Intelligence. Required", example="io-v2-..."
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
        "A URL with a password belongs in the environment. Default: a file in the user's data directory",
        example="sqlite:////var/lib/parley/parley.sqlite3",
        validate_default=True,
    )
    secret_key: EncryptionKey = setting(
        "PARLEY_SECRET_KEY",
        None,
        "Encrypts people's own API keys. Enables /key. Keep it: without it, stored keys cannot be read",
        example="a long random text: openssl rand -base64 32",
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting(
        "PARLEY_LOG_LEVEL", "info", "Minimum level of log lines"
    )

    base_url: HttpUrl = setting(
        "IOINTELLIGENCE_BASE_URL",
        "https://api.intelligence.io.solutions/api/v1/",
        "Base URL of the model service. Any OpenAI-compatible API works",
        group=MODELS,
    )
    default_model: ModelId = setting(
        "PARLEY_DEFAULT_MODEL",
        DEFAULT_MODEL,
        "Model for chats that have not chosen one. Its full name, as `parley models` lists it",
        group=MODELS,
    )
    embedding_model: ModelId = setting(
        "PARLEY_EMBEDDING_MODEL",
        "mixedbread-ai/mxbai-embed-large-v1",
        "Model that embeds notes and files for search. After a change, everything stored is embedded again",
        group=MODELS,
    )
    system_prompt: str = setting(
        "PARLEY_SYSTEM_PROMPT",
        "You are a helpful assistant in a chat. Answer in the language of the person, "
        "in Markdown, as briefly as the question allows.",
        "Instructions for chats without their own /system or /persona",
        max_length=MAX_INSTRUCTIONS_CHARS,
        group=MODELS,
    )
    personas: Personas = setting(
        "PARLEY_PERSONAS",
        {},
        "Instructions by name that people can pick with /persona. In the environment: JSON",
        example={"teacher": "Explain it step by step."},
        group=MODELS,
    )
    contexts: ContextSizes = setting(
        "PARLEY_CONTEXTS",
        {},
        "Context sizes in tokens that override the catalogue",
        example={DEFAULT_MODEL: 128_000},
        group=MODELS,
    )
    quotas: TokenQuotas = setting(
        "PARLEY_QUOTAS",
        {},
        'Daily tokens per model that override the catalogue. "*" means every model, 0 means no limit',
        example={DEFAULT_MODEL: 500_000, "*": 1_000_000},
        group=MODELS,
    )
    fallbacks: ModelIds = setting(
        "PARLEY_FALLBACKS",
        (),
        "Models to try, in this order, when the chosen one cannot answer. Default: the most similar ones",
        example=("microsoft/phi-4", "Qwen/Qwen2.5-Coder-32B-Instruct"),
        group=MODELS,
    )
    successors: Successors = setting(
        "PARLEY_SUCCESSORS",
        {},
        "Replacements for models that the service no longer offers",
        example={"old/model": DEFAULT_MODEL},
        group=MODELS,
    )
    max_answer_tokens: Annotated[int, AfterValidator(_validate_answer_tokens)] = setting(
        "PARLEY_MAX_ANSWER_TOKENS",
        0,
        "Maximum answer length in tokens for chats without their own /settings length. 0: the model's limit",
        ge=0,
        le=1_000_000,
        group=MODELS,
    )

    first_token_timeout: float = setting(
        "PARLEY_FIRST_TOKEN_TIMEOUT",
        120,
        "Seconds a model may take before it starts to answer",
        ge=0.1,
        le=3600,
        group=TIMEOUTS,
    )
    stall_timeout: float = setting(
        "PARLEY_STALL_TIMEOUT", 60, "Seconds a model may pause during an answer", ge=0.1, le=3600, group=TIMEOUTS
    )
    answer_timeout: float = setting(
        "PARLEY_ANSWER_TIMEOUT", 900, "Seconds an answer may take in total", ge=0.1, le=36_000, group=TIMEOUTS
    )
    too_old: float = setting(
        "PARLEY_TOO_OLD",
        600,
        "Seconds after which a waiting question is not answered any more. The person is told, and /retry answers it",
        ge=1,
        le=604_800,
        group=TIMEOUTS,
    )

    turns_at_once: int = setting(
        "PARLEY_TURNS_AT_ONCE", 200, "Answers that one process writes at the same time", ge=1, le=10_000, group=LOAD
    )
    queue_length: int = setting(
        "PARLEY_QUEUE_LENGTH", 5, "Messages that may wait in one conversation", ge=1, le=100, group=LOAD
    )
    open_turns: int = setting(
        "PARLEY_OPEN_TURNS",
        15,
        "Unanswered messages that one person may have, in all chats",
        ge=1,
        le=10_000,
        group=LOAD,
    )
    messages_a_minute: int = setting(
        "PARLEY_MESSAGES_A_MINUTE",
        40,
        "Messages accepted from one person per minute",
        ge=1,
        le=MAX_MESSAGES,
        group=LOAD,
    )

    person_tokens: int = setting(
        "PARLEY_PERSON_TOKENS",
        0,
        "Tokens per person and day. 0: no limit",
        ge=0,
        le=MAX_DAILY_TOKENS,
        group=DAILY_LIMITS,
    )
    person_messages: int = setting(
        "PARLEY_PERSON_MESSAGES",
        0,
        "Questions per person and day. 0: no limit",
        ge=0,
        le=MAX_MESSAGES,
        group=DAILY_LIMITS,
    )
    chat_tokens: int = setting(
        "PARLEY_CHAT_TOKENS",
        0,
        "Tokens per group or channel and day. 0: no limit",
        ge=0,
        le=MAX_DAILY_TOKENS,
        group=DAILY_LIMITS,
    )
    chat_messages: int = setting(
        "PARLEY_CHAT_MESSAGES",
        0,
        "Questions per group or channel and day. 0: no limit",
        ge=0,
        le=MAX_MESSAGES,
        group=DAILY_LIMITS,
    )
    quota_reset_hour: int = setting(
        "PARLEY_QUOTA_RESET_HOUR", 0, "Hour of the day (UTC) at which limits reset", ge=0, le=23, group=DAILY_LIMITS
    )
