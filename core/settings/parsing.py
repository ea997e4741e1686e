"""The types settings are declared with, and the parsers behind them.

The parsers are pure and raise `ValueError`. Its text continues a sentence that begins with the
setting's name ("PARLEY_QUOTAS must be ...") and never repeats a URL, which may hold a password.
"""

import json
import re
from collections.abc import Mapping
from functools import partial
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, SecretStr

from core.settings.reset_words import RESERVED_WORDS

MODEL_ID_PATTERN = re.compile(r"[^\s,=\"']{1,200}")
PERSONA_NAME_PATTERN = re.compile(r"[\w-]{1,32}")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
MAX_INSTRUCTIONS_CHARS = 20_000
MAX_DAILY_TOKENS = 1_000_000_000_000
MIN_CONTEXT_TOKENS = 256
MAX_CONTEXT_TOKENS = 100_000_000
MIN_SECRET_CHARS = 12
MAX_QUOTED_CHARS = 60


def strip_quotes(value: str) -> str:
    """`value` without white space around it, and without a pair of quotes around all of it."""
    value = value.strip()
    if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" and value.count(value[0]) == 2:
        return value[1:-1].strip()
    return value


def parse_url(value: str, *schemes: str) -> str:
    value = value.strip()
    try:
        url = urlsplit(value)
        is_valid = url.scheme in schemes and bool(url.hostname) and url.port != 0
    except ValueError:  # also raised for an invalid port
        is_valid = False
    if not is_valid or re.search(r"\s", value):
        raise ValueError(f"must be a URL that begins with {' or '.join(f'{s}://' for s in schemes)} and names a host")
    if "@" in urlsplit(value).netloc:  # the key is sent in the same header
        raise ValueError("must not contain a user name or a password")
    return value


def parse_api_token(value: SecretStr | None) -> SecretStr | None:
    """Accept what can be sent in an HTTP header. Blank means unset."""
    token = value.get_secret_value().strip() if value else ""
    if not token.isascii() or not token.isprintable() or set(token) & set(" \"'"):
        raise ValueError("contains spaces, quotes or characters that are not allowed in a token")
    return SecretStr(token) if token else None


def _parse_encryption_key(value: SecretStr | None) -> SecretStr | None:
    key = value.get_secret_value().strip() if value else ""
    if 0 < len(key) < MIN_SECRET_CHARS:
        raise ValueError(f"must have at least {MIN_SECRET_CHARS} characters")
    return SecretStr(key) if key else None


def _parse_host_port(value: str) -> str:
    """HOST:PORT. An empty host means every address of this machine."""
    host, colon, port = value.strip().rpartition(":")
    if not colon or not re.fullmatch(r"[\w.-]*|\[[0-9a-fA-F:.]+\]", host, re.ASCII):
        raise ValueError("must be HOST:PORT (an IPv6 address in brackets)")
    if not re.fullmatch(r"\d{1,5}", port, re.ASCII) or not 1 <= int(port) <= 65_535:
        raise ValueError("must be HOST:PORT with a port from 1 to 65535")
    return f"{host}:{port}"


def _parse_database_url(value: object) -> str:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    value = str(value).strip()
    if value.startswith("postgres://"):
        value = "postgresql://" + value.removeprefix("postgres://")
    if not value.startswith(("sqlite:///", "postgresql://")):
        raise ValueError("must begin with sqlite:/// or postgresql://")
    try:
        url = make_url(value)
    except (ArgumentError, ValueError):
        raise ValueError("is not a valid database URL") from None
    if not 0 < (url.port or 1) <= 65_535:
        raise ValueError("must have a port from 1 to 65535")
    if value.startswith("sqlite:") and not url.database:
        raise ValueError("must name a file after sqlite:///")
    if str(url.query.get("sslmode", "prefer")) not in SSL_MODES:
        raise ValueError(f"must have one of these as sslmode: {', '.join(SSL_MODES)}")
    connect_timeout = url.query.get("connect_timeout", "1")
    if not (isinstance(connect_timeout, str) and connect_timeout.isascii() and connect_timeout.isdigit()):
        raise ValueError("must have a whole number of seconds as connect_timeout")
    return value


def _parse_model_id(value: str) -> str:
    value = value.strip()
    if not MODEL_ID_PATTERN.fullmatch(value):
        raise ValueError("must be the full name of a model, as `parley models` lists it")
    return value


def _parse_model_ids(value: object) -> tuple[str, ...]:
    """Models in order, as a list or separated by commas."""
    items = value.split(",") if isinstance(value, str) else value
    if not isinstance(items, list | tuple) or not all(isinstance(item, str) for item in items):
        raise ValueError("must be a list of models")
    model_ids = [item.strip() for item in items if item.strip()]
    for item in model_ids:
        if not MODEL_ID_PATTERN.fullmatch(item):
            raise ValueError(f"must be a list of models; {_quote(item)} is not a model's name")
    return tuple(dict.fromkeys(model_ids))


def _parse_pairs(value: object, pair_format: str) -> dict[str, object]:
    """A table, or pairs separated by commas. `pair_format` describes a pair in errors, such as "OLD=NEW"."""
    requirement = f"must be {pair_format}, separated by commas"
    if isinstance(value, Mapping):
        pairs = [(str(key).strip(), item) for key, item in value.items()]
    elif isinstance(value, str):
        pairs = [_parse_pair(item, requirement) for item in value.split(",") if item.strip()]
    else:
        raise ValueError(requirement)  # noqa: TRY004 (pydantic reports only ValueError)
    for key, _ in pairs:
        if not MODEL_ID_PATTERN.fullmatch(key):
            raise ValueError(f"{requirement}; {_quote(key)} is not a model's name")
    if len(dict(pairs)) < len(pairs):
        raise ValueError(f"{requirement}, each model once")
    return dict(pairs)


def _parse_pair(item: str, requirement: str) -> tuple[str, object]:
    key, equals, pair_value = (part.strip() for part in item.rpartition("="))
    if not (key and equals and pair_value):
        raise ValueError(f"{requirement}; {_quote(item.strip())} is not a pair")
    return key, pair_value


def _parse_token_counts(value: object, minimum: int, maximum: int) -> dict[str, int]:
    token_counts = {}
    for key, item in _parse_pairs(value, "MODEL=TOKENS").items():
        text = "" if isinstance(item, bool) else str(item).strip()
        if not re.fullmatch(r"\d[\d_]{0,20}", text, re.ASCII) or not minimum <= int(text) <= maximum:
            raise ValueError(
                f"must give tokens as whole numbers from {minimum:,} to {maximum:,}, unlike {_quote(f'{key}={item}')}"
            )
        token_counts[key] = int(text)
    return token_counts


def _parse_successors(value: object) -> dict[str, object]:
    successors = _parse_pairs(value, "OLD=NEW")
    for old, new in successors.items():
        if not isinstance(new, str) or _parse_model_id(new) == old:
            raise ValueError(f"must name another model after {_quote(old)}")
    return successors


def _parse_personas(value: object) -> dict[str, str]:
    """Instructions by name, as a table or as JSON."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise ValueError("must be JSON when set in the environment") from None
    if not isinstance(value, Mapping):
        raise ValueError("must map each name to a text")  # noqa: TRY004 (pydantic reports only ValueError)
    for name, text in value.items():
        if not PERSONA_NAME_PATTERN.fullmatch(str(name)):
            raise ValueError(
                f"must use names of at most 32 letters, digits, hyphens and underscores, unlike {_quote(str(name))}"
            )
        if str(name).casefold() in RESERVED_WORDS:
            raise ValueError(f"cannot use the name {_quote(str(name))}: /persona {name} removes the persona")
        if not isinstance(text, str) or not 0 < len(text.strip()) <= MAX_INSTRUCTIONS_CHARS:
            raise ValueError(f"must give {_quote(str(name))} a text of 1 to {MAX_INSTRUCTIONS_CHARS:,} characters")
    return {str(name): text for name, text in value.items()}


def _quote(text: str) -> str:
    return f'"{text[:MAX_QUOTED_CHARS]}"'


ApiToken = Annotated[SecretStr | None, AfterValidator(parse_api_token)]
EncryptionKey = Annotated[SecretStr | None, AfterValidator(_parse_encryption_key)]
HttpUrl = Annotated[str, AfterValidator(lambda value: parse_url(value, "https", "http"))]
WebSocketUrl = Annotated[
    str | None, AfterValidator(lambda value: parse_url(value, "wss", "ws") if value and value.strip() else None)
]
HostPort = Annotated[str, AfterValidator(_parse_host_port)]
DatabaseUrl = Annotated[str, BeforeValidator(_parse_database_url)]
ModelId = Annotated[str, AfterValidator(_parse_model_id)]
ModelIds = Annotated[tuple[str, ...], BeforeValidator(_parse_model_ids)]
ContextSizes = Annotated[
    dict[str, int],
    BeforeValidator(partial(_parse_token_counts, minimum=MIN_CONTEXT_TOKENS, maximum=MAX_CONTEXT_TOKENS)),
]
TokenQuotas = Annotated[
    dict[str, int], BeforeValidator(partial(_parse_token_counts, minimum=0, maximum=MAX_DAILY_TOKENS))
]
Successors = Annotated[dict[str, str], BeforeValidator(_parse_successors)]
Personas = Annotated[dict[str, str], BeforeValidator(_parse_personas)]
