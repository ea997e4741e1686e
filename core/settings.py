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

__all__ = ["SECRETS", "Access", "Settings"]

SECRETS = (
    "IOINTELLIGENCE_API_KEY",
    "TELEGRAM_BOT_TOKEN",
    "DISCORD_BOT_TOKEN",
    "PARLEY_SECRET_KEY",
)

LLAMA = "meta-llama/Llama-3.3-70B-Instruct"
MOST_TOKENS = 1_000_000_000_000
MOST_MESSAGES = 1_000_000
LARGEST_WINDOW = 100_000_000  # tokens
SMALLEST_WINDOW = 256
SHORTEST_ANSWER = 16  # tokens
SHORTEST_SECRET = 12  # characters
TELEGRAM = "https://api.telegram.org"
TELEGRAM_PORTS = (443, 80, 88, 8443)
TELEGRAM_TOKEN = re.compile(r"\d+:[\w-]+", re.ASCII)


class Access(StrEnum):
    PAIRING = "pairing"
    OPEN = "open"


def default_database() -> str:
    return f"sqlite:///{Path(platformdirs.user_data_dir('parley')) / 'parley.sqlite3'}"


def variable(name: str, default: Any, meaning: str, *, example: Any = None, **limits: Any) -> Any:
    """`example` of a right value, where the default is none."""
    return Field(
        default,
        validation_alias=name,
        description=meaning,
        examples=[default if example is None else example],
        **limits,
    )


class Settings(BaseModel):
    """See `core.configuration` for where the values come from."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True, frozen=True)

    api_key: SecretStr | None = variable(
        "IOINTELLIGENCE_API_KEY", None, "The API key", example="io-v2-..."
    )
    base_url: str = variable(
        "IOINTELLIGENCE_BASE_URL",
        "https://api.intelligence.io.solutions/api/v1/",
        "Any OpenAI-compatible endpoint",
    )
    telegram_token: SecretStr | None = variable(
        "TELEGRAM_BOT_TOKEN", None, "Switches Telegram on", example="123456789:AA..."
    )
    telegram_api_base: str = variable("TELEGRAM_API_BASE", TELEGRAM, "Bot API server")
    telegram_preview: Literal["auto", "draft", "edit", "off"] = variable(
        "TELEGRAM_PREVIEW", "auto", "How answers are shown while they grow"
    )
    telegram_webhook_url: str | None = variable(
        "TELEGRAM_WEBHOOK_URL",
        None,
        "Address Telegram calls with what people write; unset: the bot asks for it",
        example="https://bot.example.org/telegram",
    )
    telegram_webhook_listen: str = variable(
        "TELEGRAM_WEBHOOK_LISTEN",
        "127.0.0.1:8443",
        "Where the webhook listens, behind a proxy that ends TLS: HOST:PORT",
    )
    discord_token: SecretStr | None = variable(
        "DISCORD_BOT_TOKEN", None, "Switches Discord on", example="MTIz..."
    )
    discord_api_base: str = variable("DISCORD_API_BASE", "https://discord.com/api/v10", "REST base")
    discord_gateway_url: str | None = variable(
        "DISCORD_GATEWAY_URL",
        None,
        "Gateway; asked from the API when unset",
        example="wss://gateway.discord.gg",
    )
    discord_message_content: bool = variable(
        "DISCORD_MESSAGE_CONTENT", False, "Ask for the privileged message content intent"
    )
    database_url: str = variable(
        "DATABASE_URL",
        None,
        "sqlite:///path or postgresql://...; default: a file in the platform's data directory",
        example="sqlite:////var/lib/parley/parley.sqlite3",
        validate_default=True,
    )
    access: Access = variable("PARLEY_ACCESS", Access.PAIRING, "Who may talk to the bot")
    default_model: str = variable("PARLEY_DEFAULT_MODEL", LLAMA, "Model for new chats")
    embedding_model: str = variable(
        "PARLEY_EMBEDDING_MODEL",
        "mixedbread-ai/mxbai-embed-large-v1",
        "Model by which notes and files are found",
    )
    system_prompt: str = variable(
        "PARLEY_SYSTEM_PROMPT",
        "You are a helpful assistant in a chat. Answer in the language of the person, "
        "in Markdown, as briefly as the question allows.",
        "Instructions for chats that have none of their own",
        max_length=20_000,
    )
    contexts: dict[str, int] = variable(
        "PARLEY_CONTEXTS",
        {},
        "Context lengths in tokens that override the catalogue: MODEL=TOKENS, comma separated",
        example={LLAMA: 128_000},
    )
    quotas: dict[str, int] = variable(
        "PARLEY_QUOTAS",
        {},
        "Tokens a day that override the catalogue: MODEL=TOKENS, comma separated; * is every "
        "model, 0 no limit",
        example={LLAMA: 500_000, "*": 1_000_000},
    )
    quota_reset_hour: int = variable(
        "PARLEY_QUOTA_RESET_HOUR",
        0,
        "Hour of the day (UTC) at which quotas begin anew",
        ge=0,
        le=23,
    )
    fallbacks: tuple[str, ...] = variable(
        "PARLEY_FALLBACKS",
        (),
        "Models that answer, in this order, when the chosen one cannot; default: the most "
        "similar ones",
        example=("microsoft/phi-4", "Qwen/Qwen2.5-Coder-32B-Instruct"),
    )
    successors: dict[str, str] = variable(
        "PARLEY_SUCCESSORS",
        {},
        "Which model follows one that is gone: OLD=NEW, comma separated",
        example={"old/model": LLAMA},
    )
    person_tokens: int = variable(
        "PARLEY_PERSON_TOKENS",
        0,
        "Tokens one person may use in a day; 0: no limit",
        ge=0,
        le=MOST_TOKENS,
    )
    person_messages: int = variable(
        "PARLEY_PERSON_MESSAGES",
        0,
        "Questions one person may ask in a day; 0: no limit",
        ge=0,
        le=MOST_MESSAGES,
    )
    chat_tokens: int = variable(
        "PARLEY_CHAT_TOKENS",
        0,
        "Tokens one group or channel may use in a day; 0: no limit",
        ge=0,
        le=MOST_TOKENS,
    )
    chat_messages: int = variable(
        "PARLEY_CHAT_MESSAGES",
        0,
        "Questions in one group or channel a day; 0: no limit",
        ge=0,
        le=MOST_MESSAGES,
    )
    personas: dict[str, str] = variable(
        "PARLEY_PERSONAS",
        {},
        "Instructions people can pick by name (/persona); in the environment as JSON",
        example={"teacher": "Explain it step by step."},
    )
    secret_key: SecretStr | None = variable(
        "PARLEY_SECRET_KEY",
        None,
        "Encrypts people's own API keys; without it there is no /key",
        example="a long random text: openssl rand -base64 32",
    )
    first_token_timeout: float = variable(
        "PARLEY_FIRST_TOKEN_TIMEOUT", 120, "Seconds a model may take to begin", ge=0.1, le=3600
    )
    stall_timeout: float = variable(
        "PARLEY_STALL_TIMEOUT", 60, "Seconds a model may pause in mid-answer", ge=0.1, le=3600
    )
    answer_timeout: float = variable(
        "PARLEY_ANSWER_TIMEOUT", 900, "Seconds an answer may take in all", ge=0.1, le=36_000
    )
    max_answer_tokens: int = variable(
        "PARLEY_MAX_ANSWER_TOKENS",
        0,
        "Longest answer in tokens; 0: the model's own limit",
        ge=0,
        le=1_000_000,
    )
    turns_at_once: int = variable(
        "PARLEY_TURNS_AT_ONCE", 200, "Answers written at the same time", ge=1, le=10_000
    )
    queue_length: int = variable(
        "PARLEY_QUEUE_LENGTH", 5, "Messages that may wait in one conversation", ge=1, le=100
    )
    open_turns: int = variable(
        "PARLEY_OPEN_TURNS",
        15,
        "Messages of one person that may be open, in all chats",
        ge=1,
        le=10_000,
    )
    messages_a_minute: int = variable(
        "PARLEY_MESSAGES_A_MINUTE",
        40,
        "Messages of one person that are taken in a minute",
        ge=1,
        le=MOST_MESSAGES,
    )
    too_old: float = variable(
        "PARLEY_TOO_OLD",
        600,
        "Seconds after which an interrupted question is told about instead of answered",
        ge=1,
        le=604_800,
    )
    log_level: Literal["debug", "info", "warning", "error"] = variable(
        "PARLEY_LOG_LEVEL", "info", "How much is logged"
    )

    @field_validator("*", mode="before")
    @classmethod
    def _number(cls, value: object, info: ValidationInfo) -> object:
        kind = cls.model_fields[str(info.field_name)].annotation
        if kind in (int, float) and isinstance(value, bool):
            raise ValueError("must be a number")
        return value

    @field_validator("api_key", "telegram_token", "discord_token", "secret_key")
    @classmethod
    def _secret(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        secret = value.get_secret_value().strip() if value else ""
        if not secret:
            return None
        if info.field_name == "secret_key":
            if len(secret) < SHORTEST_SECRET:
                raise ValueError(f"must have {SHORTEST_SECRET} characters or more")
        elif not secret.isascii() or not secret.isprintable() or " " in secret:
            raise ValueError("has spaces or characters that no such token has")
        if info.field_name == "telegram_token" and not TELEGRAM_TOKEN.fullmatch(secret):
            raise ValueError("is not a Telegram bot token: those begin with a number and a colon")
        return SecretStr(secret)

    @field_validator("base_url", "telegram_api_base", "discord_api_base")
    @classmethod
    def _address(cls, value: str) -> str:
        return values.address(value, "https", "http")

    @field_validator("discord_gateway_url")
    @classmethod
    def _socket(cls, value: str | None) -> str | None:
        return values.address(value, "wss", "ws") if value and value.strip() else None

    @field_validator("telegram_webhook_url")
    @classmethod
    def _webhook(cls, value: str | None, info: ValidationInfo) -> str | None:
        if not value or not value.strip():
            return None
        there = urlsplit(values.address(value, "https", "http"))
        if not there.path.strip("/"):
            raise ValueError("must have a path after the host")
        # A Bot API server of one's own takes any.
        if info.data.get("telegram_api_base") == TELEGRAM:
            if there.scheme != "https":
                raise ValueError("must begin with https://: Telegram calls no other")
            if (there.port or 443) not in TELEGRAM_PORTS:
                raise ValueError("must have one of Telegram's ports: 443, 80, 88 or 8443")
        return there.geturl()

    @field_validator("telegram_webhook_listen")
    @classmethod
    def _listen(cls, value: str) -> str:
        return values.listener(value)

    @field_validator("database_url", mode="before")
    @classmethod
    def _database(cls, value: object) -> str:
        return values.database(value or default_database())

    @field_validator("default_model", "embedding_model")
    @classmethod
    def _model(cls, value: str) -> str:
        return values.model(value)

    @field_validator("contexts", mode="before")
    @classmethod
    def _contexts(cls, value: object) -> object:
        return values.amounts(value, SMALLEST_WINDOW, LARGEST_WINDOW)

    @field_validator("quotas", mode="before")
    @classmethod
    def _quotas(cls, value: object) -> object:
        return values.amounts(value, 0, MOST_TOKENS)

    @field_validator("successors", mode="before")
    @classmethod
    def _successors(cls, value: object) -> object:
        found = values.pairs(value, "OLD=NEW")
        for old, new in found.items():
            if not isinstance(new, str) or values.model(new) == old:
                raise ValueError(f'must name another model after "{old[:60]}"')
        return found

    @field_validator("fallbacks", mode="before")
    @classmethod
    def _fallbacks(cls, value: object) -> object:
        return values.names(value)

    @field_validator("personas", mode="before")
    @classmethod
    def _personas(cls, value: object) -> object:
        return values.personas(value)

    @field_validator("max_answer_tokens")
    @classmethod
    def _longest(cls, value: int) -> int:
        if 0 < value < SHORTEST_ANSWER:
            raise ValueError(f"must be 0 or {SHORTEST_ANSWER} at least")
        return value
