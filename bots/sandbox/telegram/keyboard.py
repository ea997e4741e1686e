"""Reply markup, checked as Telegram does."""

from typing import Any

from bots.sandbox.telegram.refusal import bad
from bots.sandbox.telegram.world import Json

__all__ = ["keyboard"]

LONGEST_DATA = 64  # bytes
MOST_IN_A_ROW = 8
MOST_BUTTONS = 100
ACTIONS = (
    "url", "callback_data", "callback_game", "pay", "switch_inline_query",
    "switch_inline_query_chosen_chat", "switch_inline_query_current_chat", "login_url", "web_app",
    "copy_text",
)  # fmt: skip
STYLES = frozenset({"danger", "primary", "success"})


def keyboard(params: Json) -> Json | None:
    """The message's inline keyboard; other markup belongs to the client and is not shown."""
    markup = params.get("reply_markup")
    if markup in (None, ""):
        return None
    if not isinstance(markup, dict):
        raise bad("object expected as reply markup")
    rows = markup.get("inline_keyboard")
    if rows is None:
        return None
    if not isinstance(rows, list):
        raise bad('field "inline_keyboard" must be of type Array')
    for row in rows:
        if not isinstance(row, list):
            raise bad(
                'field "inline_keyboard" of the InlineKeyboardMarkup must be an Array of Arrays'
            )
        for button in row:
            _check(button)
    rows = [row for row in rows if row]
    if sum(map(len, rows)) > MOST_BUTTONS or any(len(row) > MOST_IN_A_ROW for row in rows):
        raise bad("reply markup is too long")
    return {"inline_keyboard": rows} if rows else None


def _check(button: Any) -> None:
    what = "can't parse inline keyboard button: "
    if not isinstance(button, dict):
        raise bad(f"{what}InlineKeyboardButton must be an Object")
    text = button.get("text")
    if not isinstance(text, str):
        raise bad(f'{what}Field "text" must be of type String')
    if not text.strip():
        raise bad("BUTTON_TEXT_INVALID")
    if not any(button.get(action) not in (None, "") for action in ACTIONS):
        raise bad(f"{what}Text buttons are unallowed in the inline keyboard")
    data = button.get("callback_data")
    if data is not None and not isinstance(data, str):
        raise bad(f'{what}Field "callback_data" must be of type String')
    if data and len(data.encode()) > LONGEST_DATA:
        raise bad("BUTTON_DATA_INVALID")
    copied = button.get("copy_text")
    if copied is not None and not (
        isinstance(copied, dict) and 1 <= len(str(copied.get("text") or "")) <= 256
    ):
        raise bad("BUTTON_COPY_TEXT_INVALID")
    if button.get("style") not in (None, "") and button["style"] not in STYLES:
        raise bad(f"{what}Invalid button style specified")
