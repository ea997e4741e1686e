"""The platforms' own descriptions of their APIs, to check traffic against.

They lie beside a checkout (`../shared/specs`, or where PARLEY_SPECS points). Without them the
checks skip, saying so; where CI is set they fail instead.
"""

import json
import os
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator, Draft202012Validator
from jsonschema.protocols import Validator

__all__ = [
    "discord_dispatch_errors",
    "discord_request_errors",
    "discord_response_errors",
    "model_errors",
    "required",
    "telegram_errors",
]

FOLDER = Path(os.environ.get("PARLEY_SPECS") or Path(__file__).parents[2] / "shared" / "specs")


def required() -> None:
    """Skip the test, or fail it in CI, when there are no descriptions."""
    if FOLDER.is_dir():
        return
    if os.environ.get("CI") == "true":
        pytest.fail("the API descriptions are missing: PARLEY_SPECS or ../shared/specs")
    pytest.skip("the API descriptions are not beside this checkout")


@cache
def load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / name).read_text())
    return found


def _said(validator: Validator, value: object) -> list[str]:
    return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(value)]


@cache
def _telegram(kind: str) -> Validator | None:
    spec = load("telegram-bot-api-10.3.schema.json")
    by_name = {name.lower(): name for name in spec["$defs"]}
    name = by_name.get(kind.lower())
    if name is None:
        return None
    return Draft7Validator({"$ref": f"#/$defs/{name}", "$defs": spec["$defs"]})


def telegram_errors(kind: str, value: object) -> list[str]:
    """`kind`: an object, `method.NAME` (parameters) or `result.NAME`."""
    validator = _telegram(kind)
    return [f"{kind} is unknown"] if validator is None else _said(validator, value)


@cache
def _routes() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    paths = load("discord-openapi.json")["paths"]
    routes = [
        (re.compile(re.sub(r"\{\w+\}", r"[^/]+", path) + "$"), item) for path, item in paths.items()
    ]
    # Literal segments before parameters: @original before {message_id}.
    return sorted(routes, key=lambda route: route[0].pattern.count("[^/]+"))


def _operation(method: str, path: str) -> dict[str, Any] | None:
    for pattern, item in _routes():
        if pattern.match(path) and method.lower() in item:
            found: dict[str, Any] = item[method.lower()]
            return found
    return None


def _discord(schema: dict[str, Any], value: object) -> list[str]:
    components = load("discord-openapi.json")["components"]
    return _said(Draft202012Validator({**schema, "components": components}), value)


def _texts(value: Any) -> Any:
    """Discord takes ids as numbers too; its description wants strings."""
    if isinstance(value, dict):
        return {
            key: str(item) if key.endswith("_id") and isinstance(item, int) else _texts(item)
            for key, item in value.items()
        }
    return [_texts(item) for item in value] if isinstance(value, list) else value


def discord_request_errors(method: str, path: str, body: object) -> list[str]:
    operation = _operation(method, path)
    if operation is None:
        return [f"{method} {path} is unknown"]
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema")
    return _discord(schema, _texts(body)) if schema and body else []


def discord_response_errors(method: str, path: str, status: int, body: object) -> list[str]:
    operation = _operation(method, path)
    if operation is None:
        return [f"{method} {path} is unknown"]
    answer = operation["responses"].get(str(status)) or operation["responses"].get("4XX", {})
    schema = answer.get("content", {}).get("application/json", {}).get("schema")
    return _discord(schema, body) if schema else []


def discord_dispatch_errors(event: str, data: object) -> list[str]:
    spec = load("discord-gateway.schema.json")
    schema = {
        "$ref": f"#/definitions/GatewayDispatch/properties/{event}",
        "definitions": spec["definitions"],
    }
    return _said(Draft7Validator(schema), data)


def model_errors(schema: str, value: object) -> list[str]:
    """A schema of the chat completions description, e.g. CreateChatCompletionRequest."""
    components = load("openai-chat-models-embeddings.openapi.json")["components"]
    reference = {"$ref": f"#/components/schemas/{schema}", "components": components}
    return _said(Draft202012Validator(reference), value)
