"""Says which updates the bot asks Telegram for, and replaces updates that the library cannot parse by their IDs."""

from typing import Any

import structlog
from telegram import Update, User

MESSAGE_UPDATES = ("message", "edited_message", "callback_query", "my_chat_member", "stopped_message_generation")
INLINE_UPDATES = ("inline_query", "chosen_inline_result")
GUEST_UPDATES = ("guest_message",)
ALLOWED_UPDATES = (*MESSAGE_UPDATES, *INLINE_UPDATES, *GUEST_UPDATES)
"""`tests/end_to_end/test_entry_points.py` has a case for each."""
MAX_UPDATE_ID = 2**63 - 1

log = structlog.get_logger(__name__)


def allowed_updates(me: User) -> tuple[str, ...]:
    """The updates to ask for: those of inline and guest queries only if the operator has enabled them at @BotFather."""
    no_inline = () if me.supports_inline_queries else INLINE_UPDATES
    no_guest = () if me.supports_guest_queries else GUEST_UPDATES
    return tuple(update for update in ALLOWED_UPDATES if update not in (*no_inline, *no_guest))


def sanitise_update(update: object) -> dict[str, Any] | None:
    """Parse an update; if the library fails, keep only its ID. None for an update without an ID."""
    update_id = update.get("update_id") if isinstance(update, dict) else None
    if not isinstance(update, dict) or type(update_id) is not int or not 0 <= update_id <= MAX_UPDATE_ID:
        log.error("telegram.update_unreadable", update=None, error="no update ID")
        return None
    try:
        Update.de_json(update, None)
    except Exception as error:  # noqa: BLE001 (the library's parsers raise anything)
        log.error("telegram.update_unreadable", update=update_id, error=type(error).__name__)
        return {"update_id": update_id}
    return update
