"""/key: a person's own API key. The inbox has encrypted it before anything was stored."""

import re

from core.commands.reply import Reply
from core.commands.request import CommandRequest
from core.conversation.turn_services import TurnServices
from core.errors import ModelError, ModelFailure
from core.scopes import person_key

__all__ = ["KeyCommand"]

REMOVE = "remove"
INVALID_KEY_FAILURES = (ModelFailure.AUTHENTICATION,)
INCONCLUSIVE_FAILURES = (
    ModelFailure.UNAVAILABLE,
    ModelFailure.STALLED,
    ModelFailure.MALFORMED,
    ModelFailure.TRUNCATED,
)
KEY_PATTERN = re.compile(r"[!-~]{8,500}")  # it travels in a header
UNREADABLE_KEY = (
    "I have a key of yours that cannot be read any more: the operator has changed the secret. "
    "Your questions are asked with the bot's key. Send yours again, or `/key remove`."
)


class KeyCommand:
    def __init__(self, services: TurnServices) -> None:
        self._services = services

    async def handle(self, request: CommandRequest) -> Reply:
        accounts, argument = self._services.api_keys, request.argument
        person = person_key(request.incoming.sender)
        if argument == REMOVE:
            had_key = await accounts.delete(person)
            return Reply("Your key is forgotten." if had_key else "I have no key of yours.")
        if accounts.vault is None:
            return Reply("Own keys are not switched on here." + _exposure_warning(request))
        if not argument:
            return await self._status(person)
        if not request.incoming.place.is_private:
            return Reply("A key belongs in a private chat with me." + _exposure_warning(request))
        secret = accounts.vault.decrypt(argument)
        if secret is None or not KEY_PATTERN.fullmatch(secret):
            return Reply("That does not look like a key.")
        return await self._check_and_store(person, secret)

    async def _status(self, person: str) -> Reply:
        accounts = self._services.api_keys
        if (await accounts.for_person(person)).is_personal:
            return Reply("Your questions are asked with your own key. `/key remove` takes it back.")
        if await accounts.has_undecryptable_key(person):
            return Reply(UNREADABLE_KEY)
        return Reply(
            "Your questions are asked with the bot's key. `/key KEY`, in a private chat, asks them "
            "with your own key of IO Intelligence and its own quota."
        )

    async def _check_and_store(self, person: str, secret: str) -> Reply:
        account = self._services.api_keys.from_secret(secret)
        models = [model for model in self._services.registry.chat_models_by_size() if not model.has_reasoning]
        try:
            if models:
                await account.api.probe(models[0].id)
        except ModelError as error:
            if error.failure in INVALID_KEY_FAILURES:
                return Reply("IO Intelligence does not accept that key. Nothing was kept.")
            if error.failure in INCONCLUSIVE_FAILURES:
                return Reply("I could not check the key just now. Please try again later.")
        await self._services.api_keys.save(person, secret)
        return Reply(
            "Your questions are asked with your own key from now on. It is kept encrypted and "
            "never shown; `/key remove` takes it back."
        )


def _exposure_warning(request: CommandRequest) -> str:
    if not request.argument or request.incoming.message_id is None:  # a slash command shows it to nobody
        return ""
    return " Delete your message, and replace the key: others may have seen it."
