"""The settings: what there is, what it means and what it may be.

Every field is the environment variable of its alias and, secrets apart, the key of its own name
in `parley.toml`.
"""

import re
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from core import values

__all__ = ["SECRETS", "AccessMode", "Settings"]

SECRETS = (
    "IOINTELLIGENCE_API_KEY",
    "TELEGRAM_BOT_TOKEN",
    "DISCORD_BOT_TOKEN",
    "PARLEY_SECRET_KEY",
)

DEFAULT_MODEL = "meta-llama/Llama-3.3-70B-Instruct"
MAX_DAILY_TOKENS = 1_000_000_000_000
MAX_MESSAGES = 1_000_000
MAX_CONTEXT_TOKENS = 100_000_000  # tokens
MIN_CONTEXT_TOKENS = 256
MIN_ANSWER_TOKENS = 16  # tokens
MIN_SECRET_CHARS = 12  # characters
TELEGRAM_API_URL = "https://api.telegram.org"
TELEGRAM_WEBHOOK_PORTS = (443, 80, 88, 8443)
TELEGRAM_TOKEN_PATTERN = re.compile(r"\d+:[\w-]+", re.ASCII)


class AccessMode(StrEnum):
    PAIRING = "pairing"
    OPEN = "open"


def default_database_url() -> str:
    return f"sqlite:///{Path(platformdirs.user_data_dir('parley')) / 'parley.sqlite3'}"


def setting(
    environment_variable: str,
    default: Any,
    description: str,
    *,
    example: Any = None,
    **constraints: Any,
) -> Any:
    """`example` of a right value, where the default is none."""
    return Field(
        default,
        validation_alias=environment_variable,
        description=description,
        examples=[default if example is None else example],
        **constraints,
    )


class Settings(BaseModel):
    """See `core.configuration` for where the values come from."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)

    api_key: SecretStr | None = setting("IOINTELLIGENCE_API_KEY", None, "The API key", example="io-v2-...")
    base_url: str = setting(
        "IOINTELLIGENCE_BASE_URL",
        "https://api.intelligence.io.solutions/api/v1/",
        "Any OpenAI-compatible endpoint",
    )
    telegram_token: SecretStr | None = setting(
        "TELEGRAM_BOT_TOKEN", None, "Switches Telegram on", example="123456789:AA..."
    )
    telegram_api_base: str = setting("TELEGRAM_API_BASE", TELEGRAM_API_URL, "Bot API server")
    telegram_preview: Literal["auto", "draft", "edit", "off"] = setting(
        "TELEGRAM_PREVIEW", "auto", "How answers are shown while they grow"
    )
    telegram_webhook_url: str | None = setting(
        "TELEGRAM_WEBHOOK_URL",
        None,
        "Address Telegram calls with what people write; unset: the bot asks for it",
        example="https://bot.example.org/telegram",
    )
    telegram_webhook_listen: str = setting(
        "TELEGRAM_WEBHOOK_LISTEN",
        "127.0.0.1:8443",
        "Where the webhook listens, behind a proxy that ends TLS: HOST:PORT",
    )
    discord_token: SecretStr | None = setting("DISCORD_BOT_TOKEN", None, "Switches Discord on", example="MTIz...")
    discord_api_base: str = setting("DISCORD_API_BASE", "https://discord.com/api/v10", "REST base")
    discord_gateway_url: str | None = setting(
        "DISCORD_GATEWAY_URL",
        None,
        "Gateway; asked from the API when unset",
        example="wss://gateway.discord.gg",
    )
    discord_message_content: bool = setting(
        "DISCORD_MESSAGE_CONTENT", False, "Ask for the privileged message content intent"
    )
    database_url: str = setting(
        "DATABASE_URL",
        None,
        "sqlite:///path or postgresql://...; default: a file in the platform's data directory",
        example="sqlite:////var/lib/parley/parley.sqlite3",
        validate_default=True,
    )
    access: AccessMode = setting("PARLEY_ACCESS", AccessMode.PAIRING, "Who may talk to the bot")
    default_model: str = setting("PARLEY_DEFAULT_MODEL", DEFAULT_MODEL, "Model for new chats")
    embedding_model: str = setting(
        "PARLEY_EMBEDDING_MODEL",
        "mixedbread-ai/mxbai-embed-large-v1",
        "Model by which notes and files are found",
    )
    system_prompt: str = setting(
        "PARLEY_SYSTEM_PROMPT",
        "You are a helpful assistant in a chat. Answer in the language of the person, "
        "in Markdown, as briefly as the question allows.",
        "Instructions for chats that have none of their own",
        max_length=20_000,
    )
    contexts: dict[str, int] = setting(
        "PARLEY_CONTEXTS",
        {},
        "Context lengths in tokens that override the catalogue: MODEL=TOKENS, comma separated",
        example={DEFAULT_MODEL: 128_000},
    )
    quotas: dict[str, int] = setting(
        "PARLEY_QUOTAS",
        {},
        "Tokens a day that override the catalogue: MODEL=TOKENS, comma separated; * is every model, 0 no limit",
        example={DEFAULT_MODEL: 500_000, "*": 1_000_000},
    )
    quota_reset_hour: int = setting(
        "PARLEY_QUOTA_RESET_HOUR",
        0,
        "Hour of the day (UTC) at which quotas begin anew",
        ge=0,
        le=23,
    )
    fallbacks: tuple[str, ...] = setting(
        "PARLEY_FALLBACKS",
        (),
        "Models that answer, in this order, when the chosen one cannot; default: the most similar ones",
        example=("microsoft/phi-4", "Qwen/Qwen2.5-Coder-32B-Instruct"),
    )
    successors: dict[str, str] = setting(
        "PARLEY_SUCCESSORS",
        {},
        "Which model follows one that is gone: OLD=NEW, comma separated",
        example={"old/model": DEFAULT_MODEL},
    )
    person_tokens: int = setting(
        "PARLEY_PERSON_TOKENS",
        0,
        "Tokens one person may use in a day; 0: no limit",
        ge=0,
        le=MAX_DAILY_TOKENS,
    )
    person_messages: int = setting(
        "PARLEY_PERSON_MESSAGES",
        0,
        "Questions one person may ask in a day; 0: no limit",
        ge=0,
        le=MAX_MESSAGES,
    )
    chat_tokens: int = setting(
        "PARLEY_CHAT_TOKENS",
        0,
        "Tokens one group or channel may use in a day; 0: no limit",
        ge=0,
        le=MAX_DAILY_TOKENS,
    )
    chat_messages: int = setting(
        "PARLEY_CHAT_MESSAGES",
        0,
        "Questions in one group or channel a day; 0: no limit",
        ge=0,
        le=MAX_MESSAGES,
    )
    personas: dict[str, str] = setting(
        "PARLEY_PERSONAS",
        {},
        "Instructions people can pick by name (/persona); in the environment as JSON",
        example={"teacher": "Explain it step by step."},
    )
    secret_key: SecretStr | None = setting(
        "PARLEY_SECRET_KEY",
        None,
        "Encrypts people's own API keys; without it there is no /key",
        example="a long random text: openssl rand -base64 32",
    )
    first_token_timeout: float = setting(
        "PARLEY_FIRST_TOKEN_TIMEOUT", 120, "Seconds a model may take to begin", ge=0.1, le=3600
    )
    stall_timeout: float = setting(
        "PARLEY_STALL_TIMEOUT", 60, "Seconds a model may pause in mid-answer", ge=0.1, le=3600
    )
    answer_timeout: float = setting(
        "PARLEY_ANSWER_TIMEOUT", 900, "Seconds an answer may take in all", ge=0.1, le=36_000
    )
    max_answer_tokens: int = setting(
        "PARLEY_MAX_ANSWER_TOKENS",
        0,
        "Longest answer in tokens; 0: the model's own limit",
        ge=0,
        le=1_000_000,
    )
    turns_at_once: int = setting("PARLEY_TURNS_AT_ONCE", 200, "Answers written at the same time", ge=1, le=10_000)
    queue_length: int = setting("PARLEY_QUEUE_LENGTH", 5, "Messages that may wait in one conversation", ge=1, le=100)
    open_turns: int = setting(
        "PARLEY_OPEN_TURNS",
        15,
        "Messages of one person that may be open, in all chats",
        ge=1,
        le=10_000,
    )
    messages_a_minute: int = setting(
        "PARLEY_MESSAGES_A_MINUTE",
        40,
        "Messages of one person that are taken in a minute",
        ge=1,
        le=MAX_MESSAGES,
    )
    too_old: float = setting(
        "PARLEY_TOO_OLD",
        600,
        "Seconds after which an interrupted question is told about instead of answered",
        ge=1,
        le=604_800,
    )
    log_level: Literal["debug", "info", "warning", "error"] = setting("PARLEY_LOG_LEVEL", "info", "How much is logged")

    @field_validator("*", mode="before")
    @classmethod
    def _reject_bool_as_number(cls, value: object, info: ValidationInfo) -> object:
        field_type = cls.model_fields[str(info.field_name)].annotation
        if field_type in (int, float) and isinstance(value, bool):
            raise ValueError("must be a number")
        return value

    @field_validator("api_key", "telegram_token", "discord_token", "secret_key")
    @classmethod
    def _validate_secret(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        secret = value.get_secret_value().strip() if value else ""
        if not secret:
            return None
        if info.field_name == "secret_key":
            if len(secret) < MIN_SECRET_CHARS:
                raise ValueError(f"must have {MIN_SECRET_CHARS} characters or more")
        elif not secret.isascii() or not secret.isprintable() or " " in secret:
            raise ValueError("has spaces or characters that no such token has")
        if info.field_name == "telegram_token" and not TELEGRAM_TOKEN_PATTERN.fullmatch(secret):
            raise ValueError("is not a Telegram bot token: those begin with a number and a colon")
        return SecretStr(secret)

    @field_validator("base_url", "telegram_api_base", "discord_api_base")
    @classmethod
    def _validate_url(cls, value: str) -> str:
        return values.parse_url(value, "https", "http")

    @field_validator("discord_gateway_url")
    @classmethod
    def _validate_websocket_url(cls, value: str | None) -> str | None:
        return values.parse_url(value, "wss", "ws") if value and value.strip() else None

    @field_validator("telegram_webhook_url")
    @classmethod
    def _validate_webhook_url(cls, value: str | None, info: ValidationInfo) -> str | None:
        if not value or not value.strip():
            return None
        url = urlsplit(values.parse_url(value, "https", "http"))
        if not url.path.strip("/"):
            raise ValueError("must have a path after the host")
        # A Bot API server of one's own takes any.
        if info.data.get("telegram_api_base") == TELEGRAM_API_URL:
            if url.scheme != "https":
                raise ValueError("must begin with https://: Telegram calls no other")
            if (url.port or 443) not in TELEGRAM_WEBHOOK_PORTS:
                raise ValueError("must have one of Telegram's ports: 443, 80, 88 or 8443")
        return url.geturl()

    @field_validator("telegram_webhook_listen")
    @classmethod
    def _validate_listen_address(cls, value: str) -> str:
        return values.parse_host_port(value)

    @field_validator("database_url", mode="before")
    @classmethod
    def _validate_database_url(cls, value: object) -> str:
        return values.parse_database_url(value or default_database_url())

    @field_validator("default_model", "embedding_model")
    @classmethod
    def _validate_model_id(cls, value: str) -> str:
        return values.parse_model_id(value)

    @field_validator("contexts", mode="before")
    @classmethod
    def _parse_contexts(cls, value: object) -> object:
        return values.parse_token_counts(value, MIN_CONTEXT_TOKENS, MAX_CONTEXT_TOKENS)

    @field_validator("quotas", mode="before")
    @classmethod
    def _parse_quotas(cls, value: object) -> object:
        return values.parse_token_counts(value, 0, MAX_DAILY_TOKENS)

    @field_validator("successors", mode="before")
    @classmethod
    def _parse_successors(cls, value: object) -> object:
        successors = values.parse_pairs(value, "OLD=NEW")
        for old, new in successors.items():
            if not isinstance(new, str) or values.parse_model_id(new) == old:
                raise ValueError(f'must name another model after "{old[:60]}"')
        return successors

    @field_validator("fallbacks", mode="before")
    @classmethod
    def _parse_fallbacks(cls, value: object) -> object:
        return values.parse_model_ids(value)

    @field_validator("personas", mode="before")
    @classmethod
    def _parse_personas(cls, value: object) -> object:
        return values.parse_personas(value)

    @field_validator("max_answer_tokens")
    @classmethod
    def _validate_max_answer_tokens(cls, value: int) -> int:
        if 0 < value < MIN_ANSWER_TOKENS:
            raise ValueError(f"must be 0 or {MIN_ANSWER_TOKENS} at least")
        return value
