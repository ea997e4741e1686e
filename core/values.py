"""What structured settings may be. Pure; a `ValueError` says what is wrong, after the name."""

import json
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

__all__ = ["address", "amounts", "database", "listener", "model", "names", "pairs", "personas"]

MODEL = re.compile(r"[^\s,=]{1,200}")
PERSONA = re.compile(r"[\w-]{1,32}")
SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
LONGEST_INSTRUCTIONS = 20_000  # characters


def address(value: str, *schemes: str) -> str:
    """A URL. Nothing of a wrong one is shown: it may hold a password."""
    value = value.strip()
    wanted = f"must be an address that begins with {' or '.join(f'{s}://' for s in schemes)}"
    try:
        parts = urlsplit(value)
        right = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port that is none, too
        right = False
    if not right or re.search(r"\s", value):
        raise ValueError(f"{wanted} and names a host")
    return value


def listener(value: str) -> str:
    """HOST:PORT; without a host: all of this machine's addresses."""
    host, colon, port = value.strip().rpartition(":")
    if not colon or not re.fullmatch(r"[\w.-]*|\[[0-9a-fA-F:.]+\]", host, re.ASCII):
        raise ValueError("must be HOST:PORT (an IPv6 address in brackets)")
    if not re.fullmatch(r"\d{1,5}", port, re.ASCII) or not 1 <= int(port) <= 65_535:
        raise ValueError("must be HOST:PORT with a port from 1 to 65535")
    return f"{host}:{port}"


def database(value: object) -> str:
    """Nothing of a wrong one is shown: it may hold a password."""
    value = str(value).strip()
    if value.startswith("postgres://"):
        value = "postgresql://" + value.removeprefix("postgres://")
    if not value.startswith(("sqlite:///", "postgresql://")):
        raise ValueError("must begin with sqlite:/// or postgresql://")
    try:
        made = make_url(value)
    except (ArgumentError, ValueError):
        raise ValueError("is no address of a database") from None
    if not 0 < (made.port or 1) <= 65_535:
        raise ValueError("must have a port from 1 to 65535")
    if value.startswith("sqlite:") and not made.database:
        raise ValueError("must name a file after sqlite:///")
    if str(made.query.get("sslmode", "prefer")) not in SSL_MODES:
        raise ValueError(f"must have one of these as sslmode: {', '.join(SSL_MODES)}")
    patience = made.query.get("connect_timeout", "1")
    if not (isinstance(patience, str) and patience.isascii() and patience.isdigit()):
        raise ValueError("must have seconds, a whole number, as connect_timeout")
    return value


def model(value: str) -> str:
    """The id of a model."""
    value = value.strip()
    if not MODEL.fullmatch(value):
        raise ValueError("must be the whole name of a model, as `parley models` shows it")
    return value


def names(value: object) -> tuple[str, ...]:
    """Models in an order, as a list or comma separated."""
    given = value.split(",") if isinstance(value, str) else value
    if not isinstance(given, list | tuple) or not all(isinstance(item, str) for item in given):
        raise ValueError("must be a list of models")
    found = [item.strip() for item in given if item.strip()]
    for item in found:
        if not MODEL.fullmatch(item):
            raise ValueError(f"must be a list of models: {_shown(item)} is none")
    return tuple(dict.fromkeys(found))


def pairs(value: object, form: str) -> dict[str, object]:
    """`form` says how a pair looks: OLD=NEW. A table, or text with commas between pairs."""
    if isinstance(value, Mapping):
        found = [(str(key).strip(), given) for key, given in value.items()]
    elif isinstance(value, str):
        found = [_pair(item, form) for item in value.split(",") if item.strip()]
    else:
        raise ValueError(f"must be {form}, comma separated")  # noqa: TRY004 (as pydantic wants)
    for key, _ in found:
        if not MODEL.fullmatch(key):
            raise ValueError(f"must be {form}, comma separated: {_shown(key)} names no model")
    if len(dict(found)) < len(found):
        raise ValueError(f"must be {form}, comma separated, each model once")
    return dict(found)


def _pair(item: str, form: str) -> tuple[str, object]:
    key, equals, given = (part.strip() for part in item.rpartition("="))
    if not (key and equals and given):
        raise ValueError(f"must be {form}, comma separated: {_shown(item.strip())} is no such pair")
    return key, given


def amounts(value: object, low: int, high: int) -> dict[str, int]:
    """Tokens by model, each from `low` to `high`."""
    found = {}
    for key, given in pairs(value, "MODEL=TOKENS").items():
        text = "" if isinstance(given, bool) else str(given).strip()
        if not re.fullmatch(r"\d[\d_]{0,20}", text, re.ASCII) or not low <= int(text) <= high:
            wrong = _shown(f"{key}={given}")
            raise ValueError(f"must give tokens as whole numbers from {low:,} to {high:,}: {wrong}")
        found[key] = int(text)
    return found


def personas(value: object) -> dict[str, str]:
    """Instructions by name, as a table or as JSON."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise ValueError("must be JSON in the environment") from None
    if not isinstance(value, Mapping):
        raise ValueError("must give a text for each name")  # noqa: TRY004 (as pydantic wants)
    for name, text in value.items():
        if not PERSONA.fullmatch(str(name)):
            raise ValueError(
                f"must have names of letters, digits and hyphens, 32 at most: {_shown(str(name))}"
            )
        if not isinstance(text, str) or not 0 < len(text.strip()) <= LONGEST_INSTRUCTIONS:
            raise ValueError(
                f"must give each name a text of {LONGEST_INSTRUCTIONS:,} characters at most: "
                f"{_shown(str(name))}"
            )
    return {str(name): text for name, text in value.items()}


def _shown(text: str) -> str:
    return f'"{text[:60]}"'
