"""What a request asks for: its parameters, with the types the method gives them."""

from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from bots.sandbox.telegram.state import Json

__all__ = ["read_parameters"]

INTEGER_PARAMETERS = frozenset(
    {
        "message_id",
        "message_thread_id",
        "offset",
        "limit",
        "timeout",
        "draft_id",
        "user_id",
        "cache_time",
        "icon_color",
        "max_connections",
    }
)
BOOLEAN_PARAMETERS = frozenset(
    {
        "disable_notification",
        "protect_content",
        "allow_paid_broadcast",
        "can_stop",
        "keep_on_stop",
        "show_alert",
        "drop_pending_updates",
        "is_big",
        "disable_web_page_preview",
    }
)
JSON_PARAMETERS = frozenset(
    {
        "entities",
        "reply_markup",
        "reply_parameters",
        "link_preview_options",
        "commands",
        "scope",
        "allowed_updates",
        "message_ids",
        "reaction",
        "rich_message",
        "suggested_post_parameters",
    }
)
TRUE_VALUES = frozenset({"true", "yes", "1"})


async def read_parameters(request: web.Request) -> Json:
    """From the query, a form (urlencoded or multipart) or JSON."""
    raw: Json = dict(request.query)
    if request.can_read_body:
        content_type = request.content_type
        if content_type == "application/x-www-form-urlencoded":
            body = (await request.read()).decode("utf-8", "replace")
            raw.update(parse_qsl(body, keep_blank_values=True))
        elif content_type == "application/json":
            try:
                decoded = msgspec.json.decode(await request.read())
            except msgspec.DecodeError:
                decoded = None
            raw.update(decoded if isinstance(decoded, dict) else {})
        elif content_type == "multipart/form-data":
            raw.update(await request.post())
    return {name: _convert(name, value) for name, value in raw.items()}


def _convert(name: str, value: object) -> object:
    if name == "chat_id":
        return _to_int(value, default=value)
    if name in INTEGER_PARAMETERS:
        return _to_int(value, default=0)
    if name in BOOLEAN_PARAMETERS:
        return value if isinstance(value, bool) else str(value).lower() in TRUE_VALUES
    if name in JSON_PARAMETERS and isinstance(value, str):
        try:
            return msgspec.json.decode(value)
        except msgspec.DecodeError:
            return value
    return value


def _to_int(value: object, *, default: object) -> object:
    try:
        return int(str(value))
    except ValueError:
        return default
