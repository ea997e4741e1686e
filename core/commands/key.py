"""/key: a person's own API key. The inbox encrypts the key before it stores the command."""

import re

from core.commands.declarations import REMOVE
from core.commands.request import CommandRequest, Reply
from core.errors import ModelError, ModelFailure
from core.i18n.translation import gettext
from core.texts import commands as texts
from core.texts.formatting import join_sentences

INCONCLUSIVE_FAILURES = (
    ModelFailure.REGION,
    ModelFailure.BLOCKED,
    ModelFailure.WRONG_ADDRESS,
    ModelFailure.UNREACHABLE,
    ModelFailure.SERVER_ERROR,
    ModelFailure.UNAVAILABLE,
    ModelFailure.STALLED,
    ModelFailure.MALFORMED,
    ModelFailure.TRUNCATED,
)
KEY_PATTERN = re.compile(r"[!-~]{8,500}")
"""What an HTTP header can carry."""


async def key_reply(request: CommandRequest) -> Reply:
    api_keys, argument = request.services.api_keys, request.argument
    if argument.casefold() == REMOVE:
        return Reply(gettext(texts.KEY_DELETED if await api_keys.delete(request.person_key) else texts.NO_KEY))
    if api_keys.vault is None:
        return _refuse(request, texts.KEYS_DISABLED)
    if not argument:
        return await _status(request)
    if not request.incoming.place.is_private:
        return _refuse(request, texts.KEY_IN_GROUP)
    secret = api_keys.vault.decrypt(argument, request.person_key)
    if secret is None or not KEY_PATTERN.fullmatch(secret):
        return Reply(gettext(texts.KEY_MALFORMED))
    return await _check_and_store(request, secret)


async def _status(request: CommandRequest) -> Reply:
    if (await request.api_key()).is_personal:
        return Reply(gettext(texts.PERSONAL_KEY_USED))
    is_unreadable = await request.services.api_keys.has_undecryptable_key(request.person_key)
    return Reply(gettext(texts.KEY_UNREADABLE if is_unreadable else texts.BOT_KEY_USED))


async def _check_and_store(request: CommandRequest, secret: str) -> Reply:
    services = request.services
    models = [model for model in services.models.chat_models_by_size() if not model.has_reasoning]
    try:
        if models:
            await services.api_keys.from_secret(secret).api.probe(models[0].id)
    except ModelError as error:
        if error.failure is ModelFailure.AUTHENTICATION:
            return Reply(gettext(texts.KEY_REJECTED))
        if error.failure in INCONCLUSIVE_FAILURES:
            return Reply(gettext(texts.KEY_UNCHECKED))
    await services.api_keys.save(request.person_key, secret)
    return Reply(gettext(texts.KEY_STORED))


def _refuse(request: CommandRequest, reason: str) -> Reply:
    """Others may have read a key that came in a message; nobody else sees a slash command, except in a foreign chat."""
    is_in_message = request.incoming.message_id is not None or request.incoming.place.is_foreign
    was_exposed = bool(request.argument) and is_in_message
    return Reply(join_sentences(gettext(reason), gettext(texts.KEY_EXPOSED) if was_exposed else ""))
