"""/export and /import: saves a conversation as files, and replaces one by such a file."""

from dataclasses import replace

import structlog

from core.buttons import ButtonAction, encode_action
from core.commands.permissions import announce, find_conversation_scope
from core.commands.request import CommandRequest, Reply
from core.conversation.redaction import redact_service_keys
from core.conversation.transcript import (
    MAX_TRANSCRIPT_BYTES,
    decode_transcript,
    encode_transcript,
    render_transcript,
)
from core.errors import DeliveryError, DeliveryFailure
from core.i18n.translation import gettext
from core.port import Button, File, SupportsFiles, SupportsPrivateChats, SupportsUploads
from core.store.access_requests import accept_notice, as_notice
from core.store.answers import has_answers
from core.store.transcripts import TranscriptMessage, apply_import, load_transcript, stage_import
from core.store.turns import StoredTurn, get_turn
from core.texts import transfer as texts
from core.texts.answers import CONTINUE_BUTTON

log = structlog.get_logger(__name__)

PRIVATE_EXPORT_COMMAND = "private_export"
MARKDOWN_FILE = "conversation.md"
JSON_FILE = "conversation.json"


async def export_reply(request: CommandRequest) -> Reply:
    """`/export`: the conversation as two files, which only the person gets."""
    adapter = request.adapter
    if not isinstance(adapter, SupportsUploads):
        return Reply(gettext(texts.NO_UPLOADS))
    if request.incoming.place.is_private or request.capabilities.has_ephemeral_files:
        return await _export(request, request.conversation_id, adapter.upload_limits.max_bytes)
    if await request.services.store.read(has_answers, request.conversation_id):
        return await _export_in_private(request)
    return Reply(gettext(texts.NOTHING_TO_EXPORT))


async def private_export_reply(request: CommandRequest) -> Reply | None:
    """The files of an `/export` in a group, in the private chat; None for a person who types this command."""
    adapter = request.adapter
    if request.incoming.key != _private_key(request.argument) or not isinstance(adapter, SupportsUploads):
        return None
    turn = await request.services.store.read(get_turn, int(request.argument))
    if turn is None:
        return None
    return await _export(request, turn.conversation_id, adapter.upload_limits.max_bytes)


async def _export_in_private(request: CommandRequest) -> Reply:
    """Open the turn that sends the files, once."""
    sender, adapter = request.incoming.sender, request.adapter
    if sender.is_anonymous or not isinstance(adapter, SupportsPrivateChats):
        return Reply(gettext(texts.NO_UPLOADS))
    try:
        place = await adapter.open_private_chat(sender.user)
    except DeliveryError:
        return Reply(gettext(texts.NO_UPLOADS))
    notice = as_notice(request.incoming, PRIVATE_EXPORT_COMMAND, _private_key(request.turn_id))
    notice = replace(notice, place=place, text=str(request.turn_id), message_id=None)
    await request.services.store.write(accept_notice, notice)
    return Reply(gettext(texts.EXPORTED_IN_PRIVATE))


def _private_key(turn_id: int | str) -> str:
    """The key of an event that only the bot can cause."""
    return f"export {turn_id}"


async def _export(request: CommandRequest, conversation_id: int, max_bytes: int) -> Reply:
    models = request.services.models
    messages = await request.services.store.read(load_transcript, conversation_id)
    if not messages:
        return Reply(gettext(texts.NOTHING_TO_EXPORT))
    named = [
        TranscriptMessage(message.role, message.text, models.display_name(message.model) if message.model else "")
        for message in messages
    ]
    name = request.incoming.sender.name
    transcript, count = encode_transcript(messages)
    files = (
        File(MARKDOWN_FILE, render_transcript(named, person=name, continue_button=gettext(CONTINUE_BUTTON))),
        File(JSON_FILE, transcript),
    )
    if max(len(file.content) for file in files) > max_bytes:
        return Reply(gettext(texts.EXPORT_TOO_LARGE))
    is_complete = count == len(messages)
    return Reply(gettext(texts.EXPORTED) if is_complete else texts.exported_partly(count), files=files)


async def import_reply(request: CommandRequest) -> Reply:
    """`/import` with a file, or in reply to one: asks before it replaces the conversation."""
    adapter = request.adapter
    file = next((file for file in request.incoming.attachments if file.is_document and file.file_id), None)
    if file is None or not isinstance(adapter, SupportsFiles):
        return Reply(gettext(texts.IMPORT_USAGE))
    scope = await find_conversation_scope(request)
    if isinstance(scope, Reply):
        return scope
    if file.size > MAX_TRANSCRIPT_BYTES:
        return Reply(texts.import_too_large(MAX_TRANSCRIPT_BYTES))
    try:
        content = await adapter.fetch(file, MAX_TRANSCRIPT_BYTES)
    except DeliveryError as error:
        log.info("memory.file_not_fetched", turn=request.turn_id, failure=error.failure, error=str(error))
        is_too_large = error.failure is DeliveryFailure.REJECTED
        return Reply(texts.import_too_large(MAX_TRANSCRIPT_BYTES) if is_too_large else gettext(texts.FILE_NOT_FETCHED))
    messages = decode_transcript(content)
    if messages is None:
        return Reply(gettext(texts.NO_TRANSCRIPT))
    imported = tuple(
        TranscriptMessage(message.role, *map(redact_service_keys, (message.text, message.model)))
        for message in messages
    )
    await request.services.store.write(stage_import, request.conversation_id, request.turn_id, imported)
    button = Button(gettext(texts.REPLACE_BUTTON), encode_action(ButtonAction.IMPORT, request.turn_id))
    return Reply(texts.import_question(len(imported)), (button,))


async def apply_import_reply(request: CommandRequest, turn: StoredTurn) -> Reply:
    """Replace the conversation by the file of an earlier `/import`."""
    if turn.incoming.command != "import" or turn.conversation_id != request.conversation_id:
        return Reply(gettext(texts.IMPORT_EXPIRED))
    scope = await find_conversation_scope(request)
    if isinstance(scope, Reply):
        return scope
    count = await request.services.store.write(apply_import, request.conversation_id, turn.id, request.turn_id)
    if not count:
        return Reply(gettext(texts.IMPORT_EXPIRED), edits_message=True)
    return announce(request, Reply(texts.messages_imported(count), edits_message=True), scope)
