"""/key: a person's own API key. The inbox encrypts the key before it stores the command."""

import re

from core.commands.declarations import REMOVE
from core.commands.reply import Reply
from core.commands.request import CommandRequest
from core.conversation.turn_services import TurnServices
from core.errors import ModelError, ModelFailure
from core.scopes import person_key
from core.texts import commands as texts

__all__ = ["KeyCommand"]

INCONCLUSIVE_FAILURES = (
    ModelFailure.UNAVAILABLE,
    ModelFailure.STALLED,
    ModelFailure.MALFORMED,
    ModelFailure.TRUNCATED,
)
KEY_PATTERN = re.compile(r"[!-~]{8,500}")
"""What an HTTP header can carry."""


class KeyCommand:
    def __init__(self, services: TurnServices) -> None:
        self._services = services

    async def handle(self, request: CommandRequest) -> Reply:
        api_keys, argument = self._services.api_keys, request.argument
        person = person_key(request.incoming.sender)
        if argument == REMOVE:
            return Reply(texts.KEY_DELETED if await api_keys.delete(person) else texts.NO_KEY)
        if api_keys.vault is None:
            return _refuse(request, texts.KEYS_DISABLED)
        if not argument:
            return await self._status(person)
        if not request.incoming.place.is_private:
            return _refuse(request, texts.KEY_IN_GROUP)
        secret = api_keys.vault.decrypt(argument)
        if secret is None or not KEY_PATTERN.fullmatch(secret):
            return Reply(texts.KEY_MALFORMED)
        return await self._check_and_store(person, secret)

    async def _status(self, person: str) -> Reply:
        api_keys = self._services.api_keys
        if (await api_keys.for_person(person)).is_personal:
            return Reply(texts.PERSONAL_KEY_USED)
        return Reply(texts.KEY_UNREADABLE if await api_keys.has_undecryptable_key(person) else texts.BOT_KEY_USED)

    async def _check_and_store(self, person: str, secret: str) -> Reply:
        api_key = self._services.api_keys.from_secret(secret)
        models = [model for model in self._services.registry.chat_models_by_size() if not model.has_reasoning]
        try:
            if models:
                await api_key.api.probe(models[0].id)
        except ModelError as error:
            if error.failure is ModelFailure.AUTHENTICATION:
                return Reply(texts.KEY_REJECTED)
            if error.failure in INCONCLUSIVE_FAILURES:
                return Reply(texts.KEY_UNCHECKED)
        await self._services.api_keys.save(person, secret)
        return Reply(texts.KEY_STORED)


def _refuse(request: CommandRequest, reason: str) -> Reply:
    """Others may have read a key that came in a message; nobody else sees a slash command."""
    was_exposed = bool(request.argument) and request.incoming.message_id is not None
    return Reply(f"{reason} {texts.KEY_EXPOSED}" if was_exposed else reason)
