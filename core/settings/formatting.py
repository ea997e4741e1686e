"""Write a setting's value as a person writes it: in a shell, or in `parley.toml`."""

import json
import shlex
from typing import Any


def format_plain(value: Any) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case dict():
            return ",".join(f"{key}={item}" for key, item in value.items())
        case tuple():
            return ",".join(value)
        case _:
            return str(value)


def format_for_shell(value: Any) -> str:
    has_spaces = isinstance(value, dict) and any(" " in str(item) for item in value.values())
    return shlex.quote(json.dumps(value, ensure_ascii=False) if has_spaces else format_plain(value))


def format_for_toml(value: Any) -> str:
    match value:
        case dict():
            pairs = ", ".join(
                f"{json.dumps(key, ensure_ascii=False)} = {format_for_toml(item)}" for key, item in value.items()
            )
            return f"{{ {pairs} }}"
        case tuple():
            return json.dumps(list(value), ensure_ascii=False)
        case _:
            return json.dumps(value, ensure_ascii=False)
