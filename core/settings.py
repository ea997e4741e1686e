"""The settings: the environment beats the file, unknown keys in the file are errors.

Every field can be set by the environment variable of its alias and, secrets apart, in
`parley.toml` under its lower-case name. A secret is also read from the file that `<NAME>_FILE`
names.
"""

import os
import re
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from core.errors import ConfigurationError

__all__ = ["Access", "Settings", "load"]

SECRETS = (
    "IOINTELLIGENCE_API_KEY",
    "TELEGRAM_BOT_TOKEN",
    "DISCORD_BOT_TOKEN",
    "PARLEY_SECRET_KEY",
)


class Access(StrEnum):
    PAIRING = "pairing"
    OPEN = "open"


def default_database() -> str:
    return f"sqlite:///{Path(platformdirs.user_data_dir('parley')) / 'parley.sqlite3'}"


def variable(name: str, default: Any, meaning: str, **limits: Any) -> Any:
    return Field(default, validation_alias=name, description=meaning, **limits)


class Settings(BaseSettings):
    model_config = SettingsConfigDict(extra="forbid", populate_by_name=True, frozen=True)

    api_key: SecretStr | None = variable("IOINTELLIGENCE_API_KEY", None, "The API key")
    base_url: str = variable(
        "IOINTELLIGENCE_BASE_URL",
        "https://api.intelligence.io.solutions/api/v1/",
        "Any OpenAI-compatible endpoint",
        pattern=r"^https?://\S+$",
    )
    telegram_token: SecretStr | None = variable("TELEGRAM_BOT_TOKEN", None, "Switches Telegram on")
    telegram_api_base: str = variable(
        "TELEGRAM_API_BASE", "https://api.telegram.org", "Bot API server", pattern=r"^https?://\S+$"
    )
    telegram_preview: Literal["auto", "draft", "edit", "off"] = variable(
        "TELEGRAM_PREVIEW", "auto", "How answers are shown while they grow"
    )
    telegram_webhook_url: str | None = variable(
        "TELEGRAM_WEBHOOK_URL",
        None,
        "Address Telegram calls with what people write; unset: the bot asks for it",
        pattern=r"^https?://[^/\s]+/\S+$",
    )
    telegram_webhook_listen: str = variable(
        "TELEGRAM_WEBHOOK_LISTEN",
        "127.0.0.1:8443",
        "Where the webhook listens, behind a proxy that ends TLS: HOST:PORT",
        pattern=r"^\S*:\d{1,5}$",
    )
    discord_token: SecretStr | None = variable("DISCORD_BOT_TOKEN", None, "Switches Discord on")
    discord_api_base: str = variable(
        "DISCORD_API_BASE", "https://discord.com/api/v10", "REST base", pattern=r"^https?://\S+$"
    )
    discord_gateway_url: str | None = variable(
        "DISCORD_GATEWAY_URL",
        None,
        "Gateway; asked from the API when unset",
        pattern=r"^wss?://\S+$",
    )
    discord_message_content: bool = variable(
        "DISCORD_MESSAGE_CONTENT", False, "Ask for the privileged message content intent"
    )
    database_url: str = variable(
        "DATABASE_URL",
        None,
        "sqlite:///path or postgresql://...; default: a file in the platform's data directory",
    )
    access: Access = variable("PARLEY_ACCESS", Access.PAIRING, "Who may talk to the bot")
    default_model: str = variable(
        "PARLEY_DEFAULT_MODEL", "meta-llama/Llama-3.3-70B-Instruct", "Model for new chats"
    )
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
    contexts: Annotated[dict[str, int], NoDecode] = variable(
        "PARLEY_CONTEXTS",
        {},
        "Context lengths in tokens that override the catalogue: MODEL=TOKENS, comma separated",
    )
    quotas: Annotated[dict[str, int], NoDecode] = variable(
        "PARLEY_QUOTAS",
        {},
        "Tokens a day that override the catalogue: MODEL=TOKENS, comma separated; * is every "
        "model, 0 no limit",
    )
    quota_reset_hour: int = variable(
        "PARLEY_QUOTA_RESET_HOUR",
        0,
        "Hour of the day (UTC) at which quotas begin anew",
        ge=0,
        le=23,
    )
    fallbacks: Annotated[tuple[str, ...], NoDecode] = variable(
        "PARLEY_FALLBACKS",
        (),
        "Models that answer, in this order, when the chosen one can not; default: the most "
        "similar ones",
    )
    successors: Annotated[dict[str, str], NoDecode] = variable(
        "PARLEY_SUCCESSORS", {}, "Which model follows one that is gone: OLD=NEW, comma separated"
    )
    person_tokens: int = variable(
        "PARLEY_PERSON_TOKENS", 0, "Tokens one person may use in a day; 0: no limit", ge=0
    )
    person_messages: int = variable(
        "PARLEY_PERSON_MESSAGES", 0, "Questions one person may ask in a day; 0: no limit", ge=0
    )
    chat_tokens: int = variable(
        "PARLEY_CHAT_TOKENS", 0, "Tokens one group or channel may use in a day; 0: no limit", ge=0
    )
    chat_messages: int = variable(
        "PARLEY_CHAT_MESSAGES", 0, "Questions in one group or channel a day; 0: no limit", ge=0
    )
    personas: dict[str, str] = variable(
        "PARLEY_PERSONAS",
        {},
        "Instructions people can pick by name (/persona); in the environment as JSON",
    )
    secret_key: SecretStr | None = variable(
        "PARLEY_SECRET_KEY", None, "Encrypts people's own API keys; without it there is no /key"
    )
    first_token_timeout: float = variable(
        "PARLEY_FIRST_TOKEN_TIMEOUT", 120, "Seconds a model may take to begin", gt=0, le=3600
    )
    stall_timeout: float = variable(
        "PARLEY_STALL_TIMEOUT", 60, "Seconds a model may pause in mid-answer", gt=0, le=3600
    )
    answer_timeout: float = variable(
        "PARLEY_ANSWER_TIMEOUT", 900, "Seconds an answer may take in all", gt=0, le=36_000
    )
    max_answer_tokens: int = variable(
        "PARLEY_MAX_ANSWER_TOKENS", 0, "Longest answer in tokens; 0: the model's own limit", ge=0
    )
    turns_at_once: int = variable(
        "PARLEY_TURNS_AT_ONCE", 200, "Answers written at the same time", ge=1, le=10_000
    )
    queue_length: int = variable(
        "PARLEY_QUEUE_LENGTH", 5, "Messages that may wait in one conversation", ge=1, le=100
    )
    open_turns: int = variable(
        "PARLEY_OPEN_TURNS", 15, "Messages of one person that may be open, in all chats", ge=1
    )
    messages_a_minute: int = variable(
        "PARLEY_MESSAGES_A_MINUTE", 40, "Messages of one person that are taken in a minute", ge=1
    )
    too_old: float = variable(
        "PARLEY_TOO_OLD",
        600,
        "Seconds after which an interrupted question is told about instead of answered",
        gt=0,
    )
    log_level: Literal["debug", "info", "warning", "error"] = variable(
        "PARLEY_LOG_LEVEL", "info", "How much is logged"
    )

    @field_validator("database_url", mode="before")
    @classmethod
    def _database(cls, value: str | None) -> str:
        value = value or default_database()
        if value.startswith("postgres://"):
            value = "postgresql://" + value.removeprefix("postgres://")
        if not value.startswith(("sqlite:///", "postgresql://")):
            raise ValueError("must begin with sqlite:/// or postgresql://")
        try:
            make_url(value)
        except (ArgumentError, ValueError):
            # Nothing of the value: it may hold a password.
            raise ValueError("is no address of a database") from None
        return value

    @field_validator("contexts", "quotas", "successors", mode="before")
    @classmethod
    def _pairs(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = [pair.rpartition("=") for pair in value.split(",") if pair.strip()]
        return {model.strip(): given.strip() for model, _, given in pairs}

    @field_validator("fallbacks", mode="before")
    @classmethod
    def _list(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(item.strip() for item in value.split(",") if item.strip())

    @field_validator("personas")
    @classmethod
    def _personas(cls, value: dict[str, str]) -> dict[str, str]:
        for name, text in value.items():
            if not re.fullmatch(r"[\w-]{1,32}", name) or not 0 < len(text) <= 20_000:
                raise ValueError(f"{name[:40]!r}: a name of letters, a text of 20,000 at most")
        return value

    @field_validator(
        "api_key", "telegram_token", "telegram_webhook_url", "discord_token", "secret_key",
        mode="before",
    )  # fmt: skip
    @classmethod
    def _empty_is_unset(cls, value: object) -> object:
        return None if isinstance(value, str) and not value.strip() else value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return env_settings, init_settings


def load(file: Path | None = None) -> Settings:
    """Read the environment and `file` (default: `PARLEY_CONFIG`, then ./parley.toml if there).

    Raises `ConfigurationError` that names every wrong key, never a secret's value.
    """
    given: dict[str, Any] = _from_file(file)
    for name in SECRETS:
        path = os.environ.get(f"{name}_FILE")
        if path and not os.environ.get(name):
            try:
                given[_field(name)] = Path(path).read_text().strip()
            except OSError as error:
                raise ConfigurationError(f"{name}_FILE: {error.strerror}") from error
            except UnicodeDecodeError:
                raise ConfigurationError(f"{name}_FILE names a file that is no text") from None
    given.setdefault("database_url", None)
    try:
        return Settings(**given)
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors()
        )
        raise ConfigurationError(f"Settings: {wrong}") from None
    except SettingsError as error:
        raise ConfigurationError(f"Settings: {error}") from None


def _field(alias: str) -> str:
    fields: dict[str, FieldInfo] = Settings.model_fields
    return next(name for name, field in fields.items() if field.validation_alias == alias)


def _from_file(file: Path | None) -> dict[str, Any]:
    elsewhere = os.environ.get("PARLEY_CONFIG")
    named = file or (Path(elsewhere) if elsewhere else None)
    path = named or Path("parley.toml")
    if named is None and not path.exists():
        return {}
    try:
        table = tomllib.loads(path.read_text())
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path} is no text") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    for alias in SECRETS:
        if _field(alias) in table:
            raise ConfigurationError(
                f"{path}: {_field(alias)} is a secret: put it into the environment as {alias} "
                f"or into a file named by {alias}_FILE"
            )
    return table
