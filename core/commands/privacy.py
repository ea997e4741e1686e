"""/privacy: what is stored about the person, with buttons to export and to delete it in private chats."""

import asyncio
from urllib.parse import urlsplit

import structlog

from core.buttons import ButtonAction, ButtonPress, encode_action
from core.commands.request import CommandRequest, Reply
from core.conversation.ledger import key_id_of
from core.i18n.translation import gettext
from core.port import Button, File, SupportsUploads
from core.store.erasure import erase_person
from core.store.migrate import list_copies
from core.store.people import Person
from core.store.person_export import export_person
from core.store.personal_keys import get_encrypted_key
from core.texts import privacy as texts
from core.texts import transfer

log = structlog.get_logger(__name__)

DATA_FILE = "my-data.json"


async def privacy_reply(request: CommandRequest) -> Reply:
    """`/privacy`."""
    return privacy_page(request)


def privacy_page(request: CommandRequest, *, edits_message: bool = False) -> Reply:
    settings = request.services.settings
    text = texts.privacy_page(settings, urlsplit(settings.base_url).hostname or "")
    if not request.incoming.place.is_private:
        return Reply(f"{text}\n\n{gettext(texts.NOT_IN_GROUPS)}", edits_message=edits_message)
    buttons = (
        Button(gettext(texts.EXPORT_BUTTON), encode_action(ButtonAction.EXPORT_DATA, "")),
        Button(gettext(texts.DELETE_BUTTON), encode_action(ButtonAction.ASK_TO_ERASE, ""), is_destructive=True),
    )
    return Reply(text, buttons, edits_message=edits_message)


async def data_reply(request: CommandRequest, _press: ButtonPress) -> Reply:
    """Everything about the person, as a file."""
    if not request.incoming.place.is_private:
        return Reply(gettext(texts.NOT_IN_GROUPS))
    if not isinstance(request.adapter, SupportsUploads):
        return Reply(gettext(transfer.NO_UPLOADS))
    person = _person(request)
    key_ids = await _key_ids(request, person)
    data = await request.services.store.read(export_person, person, key_ids=key_ids)
    file = File(DATA_FILE, data.encode())
    if len(file.content) > request.adapter.upload_limits.max_bytes:
        return Reply(gettext(texts.EXPORT_TOO_LARGE))
    return Reply(gettext(texts.EXPORTED), files=(file,))


async def confirmation_reply(request: CommandRequest, _press: ButtonPress) -> Reply:
    if not request.incoming.place.is_private:
        return Reply(gettext(texts.NOT_IN_GROUPS))
    buttons = (
        Button(gettext(texts.CONFIRM_BUTTON), encode_action(ButtonAction.ERASE_DATA, ""), is_destructive=True),
        Button(gettext(texts.BACK_BUTTON), encode_action(ButtonAction.SHOW_PRIVACY, "")),
    )
    return Reply(gettext(texts.CONFIRMATION), buttons, edits_message=True)


async def erasure_reply(request: CommandRequest, _press: ButtonPress) -> Reply:
    """Erase everything but this turn, which the reply needs: it is deleted later (`core.retention`)."""
    if not request.incoming.place.is_private:
        return Reply(gettext(texts.NOT_IN_GROUPS))
    await request.cancel_turns(request.conversation_id)
    person, store = _person(request), request.services.store
    key_ids = await _key_ids(request, person)
    erased = await store.write(erase_person, person, key_ids=key_ids, keeps_access=True, except_turn=request.turn_id)
    copies = [path.name for path in await asyncio.to_thread(list_copies, store.path)] if store.is_embedded else []
    log.info("person.erased", turn=request.turn_id, messages=erased.messages, entries=erased.entries, copies=copies)
    return Reply(gettext(texts.ERASED), edits_message=True)


async def _key_ids(request: CommandRequest, person: Person) -> list[str]:
    """The digest of the person's own API key, under which its usage is counted."""
    vault = request.services.api_keys.vault
    encrypted = await request.services.store.read(get_encrypted_key, person.key)
    api_key = vault.decrypt(encrypted, person.key) if vault and encrypted else None
    if api_key is None or key_id_of(api_key) == request.services.api_keys.bot_key.key_id:
        return []
    return [key_id_of(api_key)]


def _person(request: CommandRequest) -> Person:
    sender = request.incoming.sender
    return Person(sender.platform, sender.user)
