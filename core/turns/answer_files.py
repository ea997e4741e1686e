"""Offers the code, CSV and tables of an answer as files: the button under it, and what a press sends."""

import asyncio

import structlog

from core.buttons import ButtonAction, encode_action
from core.commands.request import CommandRequest, Reply
from core.delivery.artefacts import find_artefacts, may_have_artefacts
from core.i18n.translation import gettext
from core.port import Adapter, Button, SupportsUploads
from core.store.answers import get_answer
from core.store.turns import StoredTurn
from core.texts import answers as texts
from core.texts.transfer import NO_UPLOADS

log = structlog.get_logger(__name__)


async def files_buttons(adapter: Adapter, turn_id: int, answer: str) -> tuple[Button, ...]:
    """The button under the answer of a turn, if it has any files."""
    if not isinstance(adapter, SupportsUploads) or not may_have_artefacts(answer):
        return ()
    try:
        files = await asyncio.to_thread(find_artefacts, answer)
    except Exception:  # a defect here must not lose the answer
        log.exception("turn.files_failed", turn=turn_id)
        return ()
    label = gettext(texts.FILE_BUTTON if len(files) == 1 else texts.FILES_BUTTON)
    return (Button(label, encode_action(ButtonAction.SEND_FILES, turn_id)),) if files else ()


async def send_files_reply(request: CommandRequest, turn: StoredTurn) -> Reply:
    adapter = request.adapter
    if not isinstance(adapter, SupportsUploads):
        return Reply(gettext(NO_UPLOADS))
    answer = await request.services.store.read(get_answer, turn.id)
    files = await asyncio.to_thread(find_artefacts, answer)
    files = tuple(file for file in files if len(file.content) <= adapter.upload_limits.max_bytes)
    if not files:
        return Reply(gettext(texts.ANSWER_NOT_STORED))
    # Everybody has seen the answer.
    return Reply(gettext(texts.FILES_SENT), files=files, is_public=not request.capabilities.has_ephemeral_files)
