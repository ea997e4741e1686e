"""Checks of single fields of a request body. Every check raises `ApiError` as Discord would answer."""

from typing import Any

from bots.sandbox.discord.errors import invalid_form
from bots.sandbox.stand_in import Json


def check_length(form: Json, name: str, minimum: int, maximum: int, path: str = "") -> None:
    """Check how long the text or list in the field `name` is. `path` leads to `form`, with a dot at its end."""
    value = form.get(name)
    if minimum <= len(value if isinstance(value, list) else str("" if value is None else value)) <= maximum:
        return
    if minimum:
        text = f"Must be between {minimum} and {maximum} in length."
        raise invalid_form(path + name, "BASE_TYPE_BAD_LENGTH", text)
    raise invalid_form(path + name, "BASE_TYPE_MAX_LENGTH", f"Must be {maximum} or fewer in length.")


def check_unique(values: list[Any], path: str, code: str, text: str) -> None:
    if len(set(values)) != len(values):
        raise invalid_form(path, code, text)
