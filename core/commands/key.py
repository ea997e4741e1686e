"""/key: a person's own API key. The inbox has encrypted it before anything was stored."""

import re

from core.commands.asking import Asking
from core.commands.reply import Reply
from core.conversation.resources import Resources
from core.conversation.scope import person_key
from core.errors import Failure, ModelError

__all__ = ["Key"]

REMOVE = "remove"
WRONG = (Failure.AUTHENTICATION,)
UNCERTAIN = (Failure.UNAVAILABLE, Failure.STALLED, Failure.MALFORMED, Failure.TRUNCATED)
KEY = re.compile(r"[!-~]{8,500}")  # it travels in a header
UNREADABLE = (
    "I have a key of yours that cannot be read any more: the operator has changed the secret. "
    "Your questions are asked with the bot's key. Send yours again, or `/key remove`."
)


class Key:
    def __init__(self, with_: Resources) -> None:
        self._with = with_

    async def key(self, asking: Asking) -> Reply:
        accounts, given = self._with.accounts, asking.argument
        person = person_key(asking.incoming.sender)
        if given == REMOVE:
            had = await accounts.forget(person)
            return Reply("Your key is forgotten." if had else "I have no key of yours.")
        if accounts.vault is None:
            return Reply("Own keys are not switched on here." + _exposed(asking))
        if not given:
            return await self._state(person)
        if not asking.incoming.place.private:
            return Reply("A key belongs in a private chat with me." + _exposed(asking))
        secret = accounts.vault.open(given)
        if secret is None or not KEY.fullmatch(secret):
            return Reply("That does not look like a key.")
        return await self._take(person, secret)

    async def _state(self, person: str) -> Reply:
        accounts = self._with.accounts
        if (await accounts.of(person)).own:
            return Reply("Your questions are asked with your own key. `/key remove` takes it back.")
        if await accounts.unreadable(person):
            return Reply(UNREADABLE)
        return Reply(
            "Your questions are asked with the bot's key. `/key KEY`, in a private chat, asks them "
            "with your own key of IO Intelligence and its own quota."
        )

    async def _take(self, person: str, secret: str) -> Reply:
        account = self._with.accounts.with_key(secret)
        models = [model for model in self._with.models.by_size() if not model.reasons]
        try:
            if models:
                await account.api.check(models[0].id)
        except ModelError as error:
            if error.failure in WRONG:
                return Reply("IO Intelligence does not accept that key. Nothing was kept.")
            if error.failure in UNCERTAIN:
                return Reply("I could not check the key just now. Please try again later.")
        await self._with.accounts.keep(person, secret)
        return Reply(
            "Your questions are asked with your own key from now on. It is kept encrypted and "
            "never shown; `/key remove` takes it back."
        )


def _exposed(asking: Asking) -> str:
    if not asking.argument or asking.incoming.message is None:  # a slash command shows it to nobody
        return ""
    return " Delete your message, and replace the key: others may have seen it."
