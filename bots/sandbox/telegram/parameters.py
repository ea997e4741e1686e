"""What a request asks for: its parameters, with the types the method gives them."""

from urllib.parse import parse_qsl

import msgspec
from aiohttp import web

from bots.sandbox.telegram.world import Json

__all__ = ["read"]

NUMBERS = frozenset({
    "message_id", "message_thread_id", "offset", "limit", "timeout", "draft_id", "user_id",
    "cache_time", "icon_color", "max_connections",
})  # fmt: skip
FLAGS = frozenset({
    "disable_notification", "protect_content", "allow_paid_broadcast", "can_stop", "keep_on_stop",
    "show_alert", "drop_pending_updates", "is_big", "disable_web_page_preview",
})  # fmt: skip
STRUCTURES = frozenset({
    "entities", "reply_markup", "reply_parameters", "link_preview_options", "commands", "scope",
    "allowed_updates", "message_ids", "reaction", "rich_message", "suggested_post_parameters",
})  # fmt: skip
TRUE = frozenset({"true", "yes", "1"})


async def read(request: web.Request) -> Json:
    """From the query, a form (urlencoded or multipart) or JSON."""
    given: Json = dict(request.query)
    if request.can_read_body:
        kind = request.content_type
        if kind == "application/x-www-form-urlencoded":
            body = (await request.read()).decode("utf-8", "replace")
            given.update(parse_qsl(body, keep_blank_values=True))
        elif kind == "application/json":
            try:
                decoded = msgspec.json.decode(await request.read())
            except msgspec.DecodeError:
                decoded = None
            given.update(decoded if isinstance(decoded, dict) else {})
        elif kind == "multipart/form-data":
            given.update(await request.post())
    return {name: _typed(name, value) for name, value in given.items()}


def _typed(name: str, value: object) -> object:
    if name == "chat_id":
        return _number(value, otherwise=value)
    if name in NUMBERS:
        return _number(value, otherwise=0)
    if name in FLAGS:
        return value if isinstance(value, bool) else str(value).lower() in TRUE
    if name in STRUCTURES and isinstance(value, str):
        try:
            return msgspec.json.decode(value)
        except msgspec.DecodeError:
            return value
    return value


def _number(value: object, *, otherwise: object) -> object:
    try:
        return int(str(value))
    except ValueError:
        return otherwise
