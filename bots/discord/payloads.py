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


def action_rows(part: Part) -> list[Json]:
    """The action rows of a message: the menu, then the buttons."""
    menu = [action_row([select_json(part.menu)])] if part.menu else []
    return [*menu, *button_rows(part.buttons)][:MAX_ROWS]


def button_rows(buttons: Sequence[Button]) -> list[Json]:
    items = [button_json(button) for button in buttons]
    starts = range(0, len(items), MAX_BUTTONS_PER_ROW)
    return [action_row(items[start : start + MAX_BUTTONS_PER_ROW]) for start in starts]


def action_row(items: list[Json]) -> Json:
    return {"type": discord.ComponentType.action_row.value, "components": items}


def select_json(menu: Sequence[MenuItem], number: int = 0) -> Json:
    """`number` tells the menus of one message apart."""
    return {
        "type": discord.ComponentType.select.value,
        "custom_id": f"{MENU_CUSTOM_ID}:{number}" if number else MENU_CUSTOM_ID,
        "options": [_select_option(item) for item in menu[:MAX_SELECT_OPTIONS]],
        "min_values": 1,
    }


def is_menu(custom_id: str) -> bool:
    return custom_id.partition(":")[0] == MENU_CUSTOM_ID


def button_json(button: Button) -> Json:
    style = discord.ButtonStyle.danger if button.is_destructive else discord.ButtonStyle.secondary
    return {
        "type": discord.ComponentType.button.value,
        "style": style.value,
        "label": button.label[:MAX_BUTTON_LABEL_CHARS],
        "custom_id": CUSTOM_ID_PREFIX + button.action,
    }


def _select_option(item: MenuItem) -> Json:
    option: Json = {"label": item.label[:MAX_OPTION_CHARS], "value": item.action}
    if item.description:
        option["description"] = item.description[:MAX_OPTION_CHARS]
    if item.is_selected:
        option["default"] = True
    return option


def message_payload(
    content: str | None,
    *,
    components: Sequence[object] | None = None,
    flags: int = 0,
    nonce: str = "",
    reply_to: str | None = None,
    file: File | None = None,
) -> Json:
    """A message that pings nobody. If `components` is None, an edit does not change them. A card has no `content`.

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
