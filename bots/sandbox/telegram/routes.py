"""The table of methods, and those about the bot itself: its updates, webhook, commands, files and chats."""

import re
from collections.abc import Callable

from bots.sandbox.stand_in import Json
from bots.sandbox.telegram.client import ClientBackend
from bots.sandbox.telegram.errors import bad_request, not_found
from bots.sandbox.telegram.inline import INLINE_METHODS, InlineBackend
from bots.sandbox.telegram.messages import MESSAGE_METHODS, target_chat
from bots.sandbox.telegram.state import BOT_API, Call, chat_member, member_status
from bots.sandbox.telegram.updates import CONFLICT_WEBHOOK_SET, Webhook

CONFLICT_WEBHOOK_ACTIVE = (
    "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
)

COMMAND_NAME = re.compile(r"[a-z0-9_]{1,32}")
LANGUAGE_CODE = re.compile(r"[a-z]{2}")
MAX_COMMANDS = 100
MAX_DESCRIPTION_CHARS = 256
SCOPES = frozenset({"default", "all_private_chats", "all_group_chats", "all_chat_administrators"})
"""Those of single chats are unknown here."""


class Routes:
    def __init__(self, backend: InlineBackend) -> None:
        self._backend = backend
        commands = CommandRegistry()
        self._methods: dict[str, Callable[[InlineBackend, Json], object]] = {
            **MESSAGE_METHODS,
            **INLINE_METHODS,
            "getme": get_me,
            "getfile": lambda _, params: backend.files.get_file(params),
            "getchatmember": get_chat_member,
            "logout": no_op,
            "close": no_op,
            "setmycommands": commands.set,
            "getmycommands": commands.get,
            "getwebhookinfo": _webhook_info,
            **PROFILE_METHODS,
        }

    async def route(self, call: Call) -> object:
        """The result of a call. Raises `ApiError`."""
        method = call.method.lower()
        match method:
            case "getupdates":
                return await self._get_updates(call.params)
            case "setwebhook" | "deletewebhook":
                return await self._set_webhook(method, call.params)
        handler = self._methods.get(method)
        if handler is None:
            raise not_found(": method not found")
        self._backend.enforce_limits(call)
        return handler(self._backend, call.params)

    async def _get_updates(self, params: Json) -> list[Json]:
        updates = self._backend.updates
        if self._backend.webhook is not None:
            await updates.raise_conflict(CONFLICT_WEBHOOK_ACTIVE)
        updates.set_allowed_kinds(params.get("allowed_updates"))
        self._backend.notify_waiters()
        return await updates.poll(params.get("offset") or 0, params.get("limit") or 100, params.get("timeout") or 0)

    async def _set_webhook(self, method: str, params: Json) -> bool:
        updates = self._backend.updates
        new_webhook = None
        if method == "setwebhook" and params.get("url"):
            new_webhook = Webhook(updates, params, self._backend.webhook_retry_delay, self._backend.clock)
            updates.terminate_poll(CONFLICT_WEBHOOK_SET)
        updates.set_allowed_kinds(params.get("allowed_updates"))
        if params.get("drop_pending_updates"):
            updates.pending.clear()
        old_webhook, self._backend.webhook = self._backend.webhook, new_webhook
        if old_webhook is not None:
            await old_webhook.close()
        return True


def _webhook_info(backend: ClientBackend, _params: Json) -> Json:
    payload: Json = {**BOT_API["getWebhookInfo"], "pending_update_count": len(backend.updates.pending)}
    if backend.updates.allowed_kinds:
        payload["allowed_updates"] = list(backend.updates.allowed_kinds)
    return payload | (backend.webhook.info() if backend.webhook is not None else {})


def _profile_methods(name: str, field: str, max_chars: int) -> dict[str, Callable[[ClientBackend, Json], object]]:
    """The methods to get and to set a text about the bot. Languages are not told apart."""

    def get(backend: ClientBackend, _params: Json) -> Json:
        return {field: backend.profile.get(field, "")}

    def set_(backend: ClientBackend, params: Json) -> bool:
        text = str(params.get(field) or "")
        if len(text) > max_chars:
            raise bad_request(f"{field.upper()}_TOO_LONG")
        backend.profile[field] = text
        return True

    return {f"getmy{name}": get, f"setmy{name}": set_}


PROFILE_METHODS = _profile_methods("description", "description", 512) | _profile_methods(
    "shortdescription", "short_description", 120
)


class CommandRegistry:
    def __init__(self) -> None:
        self.commands_by_scope: dict[tuple[str, str], list[Json]] = {}

    def set(self, _backend: ClientBackend, params: Json) -> bool:
        key = _scope_key(params)
        definitions = params.get("commands") or []
        if not isinstance(definitions, list):
            raise bad_request("expected an Array of BotCommand")
        if len(definitions) > MAX_COMMANDS:
            raise bad_request("BOT_COMMANDS_TOO_MUCH")
        commands = []
        for command in definitions:
            if not isinstance(command, dict):
                raise bad_request("can't parse BotCommand: expected an Object")
            name, description = command.get("command"), command.get("description")
            for field, value in (("command", name), ("description", description)):
                if not isinstance(value, str):
                    raise bad_request(f'can\'t parse BotCommand: Field "{field}" must be of type String')
            name, description = str(name).removeprefix("/"), str(description)
            if not COMMAND_NAME.fullmatch(name):
                raise bad_request("BOT_COMMAND_INVALID")
            if not 1 <= len(description.strip()) <= MAX_DESCRIPTION_CHARS:
                raise bad_request("BOT_COMMAND_DESCRIPTION_INVALID")
            commands.append({"command": name, "description": description})
        self.commands_by_scope[key] = commands
        return True

    def get(self, _backend: ClientBackend, params: Json) -> list[Json]:
        return self.commands_by_scope.get(_scope_key(params), [])


def _scope_key(params: Json) -> tuple[str, str]:
    scope = params.get("scope") or {"type": "default"}
    language = str(params.get("language_code") or "")
    if not isinstance(scope, dict):
        raise bad_request("can't parse BotCommandScope: BotCommandScope must be an Object")
    scope_type = scope.get("type")
    if scope_type not in SCOPES:
        raise bad_request("can't parse BotCommandScope: Unsupported type specified")
    if language and not LANGUAGE_CODE.fullmatch(language):
        raise bad_request("invalid language code specified")
    return str(scope_type), language


def get_me(backend: ClientBackend, _params: Json) -> Json:
    return {
        **backend.bot.json(),
        **BOT_API["getMe"],
        "can_read_all_group_messages": not backend.privacy_mode,
        "supports_inline_queries": backend.supports_inline,
        "supports_guest_queries": backend.supports_guests,
    }


def get_chat_member(backend: ClientBackend, params: Json) -> Json:
    chat = target_chat(backend, params, for_writing=False)
    user_id = params.get("user_id") or 0
    if user_id <= 0:
        raise bad_request("invalid user_id specified")
    user = backend.users.get(user_id)
    if user is None:
        raise bad_request("user not found")
    return chat_member(user, member_status(chat, user))


def no_op(_backend: ClientBackend, _params: Json) -> bool:
    return True
