"""Builds the JSON of messages: flags, mentions, replies, buttons and select menus.

A button's custom ID, or a menu's value, contains the action. Any process can therefore handle a press
at any time, without state in memory.
"""

from collections.abc import Sequence

import discord

from bots.discord.http_client import Json
from core.port import Button, File, MenuItem, Part

CUSTOM_ID_PREFIX = "parley:"
MENU_CUSTOM_ID = "parley-menu"
MAX_BUTTONS_PER_ROW = 5
MAX_ROWS = 5
MAX_SELECT_OPTIONS = 25
MAX_BUTTON_LABEL_CHARS = 80
MAX_OPTION_CHARS = 100

SUPPRESS_EMBEDS_FLAG = discord.MessageFlags.suppress_embeds.flag
EPHEMERAL_FLAG = discord.MessageFlags.ephemeral.flag
LOADING_FLAG = discord.MessageFlags.loading.flag

NO_MENTIONS: Json = {"parse": [], "replied_user": False}
"""Messages never ping anyone."""


def action_rows(part: Part) -> list[dict[str, object]]:
    """The action rows of a message: the menu, then the buttons."""
    rows: list[list[dict[str, object]]] = []
    if part.menu:
        options = [_select_option(item) for item in part.menu[:MAX_SELECT_OPTIONS]]
        select = discord.ComponentType.select.value
        rows.append([{"type": select, "custom_id": MENU_CUSTOM_ID, "options": options, "min_values": 1}])
    buttons = [_button(button) for button in part.buttons]
    rows += [buttons[start : start + MAX_BUTTONS_PER_ROW] for start in range(0, len(buttons), MAX_BUTTONS_PER_ROW)]
    action_row = discord.ComponentType.action_row.value
    return [{"type": action_row, "components": row} for row in rows[:MAX_ROWS]]


def _button(button: Button) -> dict[str, object]:
    style = discord.ButtonStyle.danger if button.is_destructive else discord.ButtonStyle.secondary
    return {
        "type": discord.ComponentType.button.value,
        "style": style.value,
        "label": button.label[:MAX_BUTTON_LABEL_CHARS],
        "custom_id": CUSTOM_ID_PREFIX + button.action,
    }


def _select_option(item: MenuItem) -> dict[str, object]:
    option: dict[str, object] = {"label": item.label[:MAX_OPTION_CHARS], "value": item.action}
    if item.description:
        option["description"] = item.description[:MAX_OPTION_CHARS]
    if item.is_selected:
        option["default"] = True
    return option


def message_payload(
    content: str,
    *,
    components: Sequence[object] | None = None,
    flags: int = 0,
    nonce: str = "",
    reply_to: str | None = None,
    file: File | None = None,
) -> Json:
    """A message that pings nobody. If `components` is None, an edit does not change them.

    Discord creates only one message for each `nonce`. A reply to a deleted message becomes a plain
    message.
    """
    payload: Json = {"content": content, "allowed_mentions": NO_MENTIONS}
    if components is not None:
        payload["components"] = components
    if flags:
        payload["flags"] = flags
    if nonce:
        payload |= {"nonce": nonce, "enforce_nonce": True}
    if reply_to:
        payload["message_reference"] = {"message_id": reply_to, "fail_if_not_exists": False}
    if file is not None:
        payload["attachments"] = [{"id": 0, "filename": file.name}]
    return payload
