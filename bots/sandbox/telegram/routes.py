"""The table of methods, and the methods by which a bot receives updates."""

from collections.abc import Callable

from bots.sandbox.stand_in import Json
from bots.sandbox.telegram.chats import CHAT_METHODS
from bots.sandbox.telegram.client import ClientBackend
from bots.sandbox.telegram.commands import CommandRegistry
from bots.sandbox.telegram.errors import not_found
from bots.sandbox.telegram.messages import MESSAGE_METHODS
from bots.sandbox.telegram.state import Call
from bots.sandbox.telegram.updates import CONFLICT_WEBHOOK_SET
from bots.sandbox.telegram.webhook import Webhook

CONFLICT_WEBHOOK_ACTIVE = (
    "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook first"
)


class Routes:
    def __init__(self, backend: ClientBackend) -> None:
        self._backend = backend
        commands = CommandRegistry()
        methods: dict[str, Callable[[ClientBackend, Json], object]] = {
            **MESSAGE_METHODS,
            **CHAT_METHODS,
            "setmycommands": commands.set,
            "getmycommands": commands.get,
            "getwebhookinfo": _webhook_info,
        }
        self._methods = {name: method for name, method in methods.items() if name not in backend.unknown_methods}

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
    payload: Json = {
        "url": "",
        "has_custom_certificate": False,
        "pending_update_count": len(backend.updates.pending),
    }
    if backend.updates.allowed_kinds:
        payload["allowed_updates"] = list(backend.updates.allowed_kinds)
    return payload | (backend.webhook.info() if backend.webhook is not None else {})
