"""Discord's own OpenAPI description, where it is at hand, against every request made."""

import functools
import json
import re
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from tests.bots.discord.scripted_discord import Request

SPEC_PATH = Path(__file__).resolve().parents[4] / "shared" / "specs" / "discord-openapi.json"
"""Next to the checkout; not part of it."""


@functools.cache
def load_spec() -> dict[str, Any] | None:
    return json.loads(SPEC_PATH.read_text()) if SPEC_PATH.exists() else None


def spec_violations(requests: list[Request]) -> list[str]:
    """What is wrong with `requests`; nothing when there is no specification."""
    spec = load_spec()
    return [] if spec is None else [wrong for one in requests for wrong in _errors(spec, one)]


def _errors(spec: dict[str, Any], request: Request) -> list[str]:
    operation = _operation(spec, request)
    if operation is None:
        return [f"{request.method} {request.path}: no such operation"]
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None or request.body is None:
        return []
    schema = json.dumps(content["schema"])
    errors = _validator(schema).iter_errors(request.body)
    return [f"{request.method} {request.path}: {error.message[:300]}" for error in errors]


def _operation(spec: dict[str, Any], request: Request) -> dict[str, Any] | None:
    found: dict[str, Any] | None = None
    for template, operations in spec["paths"].items():
        pattern = re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(template))
        if re.fullmatch(pattern, request.path) and request.method.lower() in operations:
            found = operations[request.method.lower()]
            if "{" not in template.rpartition("/")[2]:
                return found
    return found


@functools.cache
def _validator(schema: str) -> Draft202012Validator:
    spec = load_spec() or {}
    return Draft202012Validator({**json.loads(schema), "components": spec["components"]})
