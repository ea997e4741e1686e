"""What structured settings may be. Pure; a `ValueError` says what is wrong, after the name."""

import json
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

__all__ = [
    "parse_database_url",
    "parse_host_port",
    "parse_model_id",
    "parse_model_ids",
    "parse_pairs",
    "parse_personas",
    "parse_token_counts",
    "parse_url",
]

MODEL_ID_PATTERN = re.compile(r"[^\s,=]{1,200}")
PERSONA_NAME_PATTERN = re.compile(r"[\w-]{1,32}")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
MAX_INSTRUCTIONS_CHARS = 20_000  # characters


def parse_url(value: str, *schemes: str) -> str:
    """A URL. Nothing of a wrong one is shown: it may hold a password."""
    value = value.strip()
    requirement = f"must be an address that begins with {' or '.join(f'{s}://' for s in schemes)}"
    try:
        url = urlsplit(value)
        is_valid = url.scheme in schemes and bool(url.hostname) and url.port != 0
    except ValueError:  # of a port that is none, too
        is_valid = False
    if not is_valid or re.search(r"\s", value):
        raise ValueError(f"{requirement} and names a host")
    return value


def parse_host_port(value: str) -> str:
    """HOST:PORT; without a host: all of this machine's addresses."""
    host, colon, port = value.strip().rpartition(":")
    if not colon or not re.fullmatch(r"[\w.-]*|\[[0-9a-fA-F:.]+\]", host, re.ASCII):
        raise ValueError("must be HOST:PORT (an IPv6 address in brackets)")
    if not re.fullmatch(r"\d{1,5}", port, re.ASCII) or not 1 <= int(port) <= 65_535:
        raise ValueError("must be HOST:PORT with a port from 1 to 65535")
    return f"{host}:{port}"


def parse_database_url(value: object) -> str:
    """Nothing of a wrong one is shown: it may hold a password."""
    value = str(value).strip()
    if value.startswith("postgres://"):
        value = "postgresql://" + value.removeprefix("postgres://")
    if not value.startswith(("sqlite:///", "postgresql://")):
        raise ValueError("must begin with sqlite:/// or postgresql://")
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):
        raise ValueError("is no address of a database") from None
    if not 0 < (url.port or 1) <= 65_535:
        raise ValueError("must have a port from 1 to 65535")
    if value.startswith("sqlite:") and not url.database:
        raise ValueError("must name a file after sqlite:///")
    if str(url.query.get("sslmode", "prefer")) not in SSL_MODES:
        raise ValueError(f"must have one of these as sslmode: {', '.join(SSL_MODES)}")
    connect_timeout = url.query.get("connect_timeout", "1")
    if not (isinstance(connect_timeout, str) and connect_timeout.isascii() and connect_timeout.isdigit()):
        raise ValueError("must have seconds, a whole number, as connect_timeout")
    return value


def parse_model_id(value: str) -> str:
    """The id of a model."""
    value = value.strip()
    if not MODEL_ID_PATTERN.fullmatch(value):
        raise ValueError("must be the whole name of a model, as `parley models` shows it")
    return value


def parse_model_ids(value: object) -> tuple[str, ...]:
    """Models in an order, as a list or comma separated."""
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise ValueError("must be a list of models")
    model_ids = [item.strip() for item in items if item.strip()]
    for item in model_ids:
        if not MODEL_ID_PATTERN.fullmatch(item):
            raise ValueError(f"must be a list of models: {_quote(item)} is none")
    return tuple(dict.fromkeys(model_ids))


def parse_pairs(value: object, pair_format: str) -> dict[str, object]:
    """`form` says how a pair looks: OLD=NEW. A table, or text with commas between pairs."""
    if isinstance(value, Mapping):
        parsed = [(str(key).strip(), given) for key, given in value.items()]
    elif isinstance(value, str):
        parsed = [_parse_pair(item, pair_format) for item in value.split(",") if item.strip()]
    else:
        raise ValueError(f"must be {pair_format}, comma separated")  # noqa: TRY004 (as pydantic wants)
    for key, _ in parsed:
        if not MODEL_ID_PATTERN.fullmatch(key):
            raise ValueError(f"must be {pair_format}, comma separated: {_quote(key)} names no model")
    if len(dict(parsed)) < len(parsed):
        raise ValueError(f"must be {pair_format}, comma separated, each model once")
    return dict(parsed)


def _parse_pair(item: str, pair_format: str) -> tuple[str, object]:
    key, equals, pair_value = (part.strip() for part in item.rpartition("="))
    if not (key and equals and pair_value):
        raise ValueError(f"must be {pair_format}, comma separated: {_quote(item.strip())} is no such pair")
    return key, pair_value


def parse_token_counts(value: object, minimum: int, maximum: int) -> dict[str, int]:
    """Tokens by model, each from `low` to `high`."""
    token_counts = {}
    for key, given in parse_pairs(value, "MODEL=TOKENS").items():
        text = "" if isinstance(given, bool) else str(given).strip()
        if not re.fullmatch(r"\d[\d_]{0,20}", text, re.ASCII) or not minimum <= int(text) <= maximum:
            invalid = _quote(f"{key}={given}")
            raise ValueError(f"must give tokens as whole numbers from {minimum:,} to {maximum:,}: {invalid}")
        token_counts[key] = int(text)
    return token_counts


def parse_personas(value: object) -> dict[str, str]:
    """Instructions by name, as a table or as JSON."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise ValueError("must be JSON in the environment") from None
    if not isinstance(value, Mapping):
        raise ValueError("must give a text for each name")  # noqa: TRY004 (as pydantic wants)
    for name, text in value.items():
        if not PERSONA_NAME_PATTERN.fullmatch(str(name)):
            raise ValueError(f"must have names of letters, digits and hyphens, 32 at most: {_quote(str(name))}")
        if not isinstance(text, str) or not 0 < len(text.strip()) <= MAX_INSTRUCTIONS_CHARS:
            raise ValueError(
                f"must give each name a text of {MAX_INSTRUCTIONS_CHARS:,} characters at most: {_quote(str(name))}"
            )
    return {str(name): text for name, text in value.items()}


def _quote(text: str) -> str:
    return f'"{text[:60]}"'
