"""Validates traffic against machine-readable API descriptions.

The descriptions are in `../shared/specs` next to the checkout, or in the folder that PARLEY_SPECS names. Without them,
tests that need them are skipped; in CI they fail.
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

TELEGRAM_DELTA = "telegram-bot-api-10.5-delta.json"
SPECS_DIR = Path(os.environ.get("PARLEY_SPECS") or Path(__file__).parents[2] / "shared" / "specs")


def require_specs() -> None:
    """Skip the test, or fail it in CI, if the descriptions are missing."""
    if SPECS_DIR.is_dir():
        return
    if os.environ.get("CI") == "true":
        pytest.fail("the API descriptions are missing: PARLEY_SPECS or ../shared/specs")
    pytest.skip("the API descriptions are not beside this checkout")


@cache
def load_spec(name: str) -> dict[str, Any]:
    spec: dict[str, Any] = json.loads((SPECS_DIR / name).read_text())
    return spec


def _errors(validator: Validator, value: object) -> list[str]:
    return [f"{error.json_path}: {error.message[:200]}" for error in validator.iter_errors(value)]


@cache
def _telegram_validator(kind: str) -> Validator | None:
    # The second corrects the first: its rich text forgets plain strings.
    definitions = load_spec("telegram-bot-api-10.3.schema.json")["$defs"] | load_spec(TELEGRAM_DELTA)["$defs"]
    by_name = {name.lower(): name for name in definitions}
    name = by_name.get(kind.lower())
    if name is None:
        return None
    return Draft7Validator({"$ref": f"#/$defs/{name}", "$defs": definitions})


def telegram_errors(kind: str, value: object) -> list[str]:
    """`kind`: an object, `method.NAME` (parameters) or `result.NAME`."""
    validator = _telegram_validator(kind)
    return [f"{kind} is unknown"] if validator is None else _errors(validator, value)


@cache
def _routes() -> list[tuple[re.Pattern[str], dict[str, Any]]]:
    paths = load_spec("discord-openapi.json")["paths"]
    routes = [(re.compile(re.sub(r"\{\w+\}", r"[^/]+", path) + "$"), item) for path, item in paths.items()]
    # Literal segments go before parameters: @original before {message_id}.
    return sorted(routes, key=lambda route: route[0].pattern.count("[^/]+"))


def _operation(method: str, path: str) -> dict[str, Any] | None:
    for pattern, item in _routes():
        if pattern.match(path) and method.lower() in item:
            operation: dict[str, Any] = item[method.lower()]
            return operation
    return None


def _discord_errors(schema: dict[str, Any], value: object) -> list[str]:
    components = load_spec("discord-openapi.json")["components"]
    return _errors(Draft202012Validator({**schema, "components": components}), value)


def _ids_as_strings(value: Any) -> Any:
    """Discord also accepts IDs as numbers; its description allows only strings."""
    if isinstance(value, dict):
        return {
            key: str(item) if key.endswith("_id") and isinstance(item, int) else _ids_as_strings(item)
            for key, item in value.items()
        }
    return [_ids_as_strings(item) for item in value] if isinstance(value, list) else value


def discord_request_errors(method: str, path: str, body: object) -> list[str]:
    operation = _operation(method, path)
    if operation is None:
        return [f"{method} {path} is unknown"]
    content = operation.get("requestBody", {}).get("content", {})
    schema = content.get("application/json", {}).get("schema")
    return _discord_errors(schema, _ids_as_strings(body)) if schema and body else []


def discord_response_errors(method: str, path: str, status: int, body: object) -> list[str]:
    operation = _operation(method, path)
    if operation is None:
        return [f"{method} {path} is unknown"]
    answer = operation["responses"].get(str(status)) or operation["responses"].get("4XX", {})
    schema = answer.get("content", {}).get("application/json", {}).get("schema")
    return _discord_errors(schema, body) if schema else []


def discord_dispatch_errors(event: str, data: object) -> list[str]:
    spec = load_spec("discord-gateway.schema.json")
    schema = {
        "$ref": f"#/definitions/GatewayDispatch/properties/{event}",
        "definitions": spec["definitions"],
    }
    return _errors(Draft7Validator(schema), data)


def model_errors(schema: str, value: object) -> list[str]:
    """`schema` is a name in the OpenAI description, such as CreateChatCompletionRequest."""
    components = load_spec("openai-chat-models-embeddings.openapi.json")["components"]
    reference = {"$ref": f"#/components/schemas/{schema}", "components": components}
    return _errors(Draft202012Validator(reference), value)
