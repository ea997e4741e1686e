"""Checks of reply markup. Each raises `ApiError` as Telegram would answer."""

from typing import Any

from bots.sandbox.stand_in import Json
from bots.sandbox.telegram.errors import bad_request

MAX_CALLBACK_DATA_BYTES = 64
MAX_BUTTONS_PER_ROW = 8
MAX_BUTTONS = 100
BUTTON_ACTIONS = (
    "url",
    "callback_data",
    "callback_game",
    "pay",
    "switch_inline_query",
    "switch_inline_query_chosen_chat",
    "switch_inline_query_current_chat",
    "login_url",
    "web_app",
    "copy_text",
)
BUTTON_STYLES = frozenset({"danger", "primary", "success"})


def inline_keyboard(params: Json) -> Json | None:
    """The inline keyboard of a message, or None. Other markup only changes the client."""
    markup = params.get("reply_markup")
    if markup in (None, ""):
        return None
    if not isinstance(markup, dict):
        raise bad_request("object expected as reply markup")
    rows = markup.get("inline_keyboard")
    if rows is None:
        return None
    if not isinstance(rows, list):
        raise bad_request('field "inline_keyboard" must be of type Array')
    for row in rows:
        if not isinstance(row, list):
            raise bad_request('field "inline_keyboard" of the InlineKeyboardMarkup must be an Array of Arrays')
        for button in row:
            _check_button(button)
    rows = [row for row in rows if row]
    if sum(map(len, rows)) > MAX_BUTTONS or any(len(row) > MAX_BUTTONS_PER_ROW for row in rows):
        raise bad_request("reply markup is too long")
    return {"inline_keyboard": rows} if rows else None


def _check_button(button: Any) -> None:
    prefix = "can't parse inline keyboard button: "
    if not isinstance(button, dict):
        raise bad_request(f"{prefix}InlineKeyboardButton must be an Object")
    text = button.get("text")
    if not isinstance(text, str):
        raise bad_request(f'{prefix}Field "text" must be of type String')
    if not text.strip():
        raise bad_request("BUTTON_TEXT_INVALID")
    if not any(button.get(action) not in (None, "") for action in BUTTON_ACTIONS):
        raise bad_request(f"{prefix}Text buttons are unallowed in the inline keyboard")
    data = button.get("callback_data")
    if data is not None and not isinstance(data, str):
        raise bad_request(f'{prefix}Field "callback_data" must be of type String')
    if data and len(data.encode()) > MAX_CALLBACK_DATA_BYTES:
        raise bad_request("BUTTON_DATA_INVALID")
    copy_text = button.get("copy_text")
    if copy_text is not None and not (
        isinstance(copy_text, dict) and 1 <= len(str(copy_text.get("text") or "")) <= 256
    ):
        raise bad_request("BUTTON_COPY_TEXT_INVALID")
    if button.get("style") not in (None, "") and button["style"] not in BUTTON_STYLES:
        raise bad_request(f"{prefix}Invalid button style specified")
