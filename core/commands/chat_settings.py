"""The settings of a chat: their values, and what the buttons offer."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from core.conversation.preferences import OFF, ON, Preferences, ReasoningEffort
from core.i18n.translation import gettext
from core.port import RichMode
from core.store.preferences import PreferenceName
from core.texts import settings as texts
from core.texts.formatting import either, format_number

MAX_ANSWER_TOKENS = 100_000
MIN_ANSWER_TOKENS = 16
MAX_TEMPERATURE = 2


@dataclass(frozen=True, slots=True)
class ChatSetting:
    name: PreferenceName
    describe_values: Callable[[], str]
    """What is accepted, as in "Temperature must be 0-2"."""
    parse: Callable[[str], str | None]
    """The value to store; None for one that is not accepted."""
    current_value: Callable[[Preferences], str]
    """"" for the model's default."""

    def format_current(self, preferences: Preferences) -> str:
        return self.current_value(preferences) or gettext(texts.MODEL_DEFAULT)


def _parse_temperature(value: str) -> str | None:
    try:
        temperature = float(value.replace(",", "."))
    except ValueError:
        return None
    return f"{abs(temperature):g}" if 0 <= temperature <= MAX_TEMPERATURE else None  # without the sign of -0


def _parse_length(value: str) -> str | None:
    digits = re.sub(r"[,._]", "", value)
    if not re.fullmatch(r"\d{1,9}", digits):
        return None
    return str(int(digits)) if MIN_ANSWER_TOKENS <= int(digits) <= MAX_ANSWER_TOKENS else None


def _one_of(*values: str) -> Callable[[str], str | None]:
    return lambda value: value.casefold() if value.casefold() in values else None


CHAT_SETTINGS = (
    ChatSetting(
        PreferenceName.TEMPERATURE,
        partial(texts.number_range, 0, MAX_TEMPERATURE),
        _parse_temperature,
        lambda preferences: "" if preferences.temperature is None else f"{preferences.temperature:g}",
    ),
    ChatSetting(
        PreferenceName.ANSWER_LENGTH,
        partial(texts.number_range, MIN_ANSWER_TOKENS, MAX_ANSWER_TOKENS),
        _parse_length,
        lambda preferences: format_number(preferences.max_answer_tokens) if preferences.max_answer_tokens else "",
    ),
    ChatSetting(
        PreferenceName.REASONING_EFFORT,
        partial(either, tuple(ReasoningEffort)),
        _one_of(*ReasoningEffort),
        lambda preferences: preferences.reasoning_effort or "",
    ),
    ChatSetting(
        PreferenceName.SHOW_REASONING,
        partial(either, (ON, OFF)),
        _one_of(ON, OFF),
        lambda preferences: ON if preferences.shows_reasoning else OFF,
    ),
)
RICH_MESSAGES = ChatSetting(
    PreferenceName.RICH_MESSAGES,
    partial(either, tuple(RichMode)),
    _one_of(*RichMode),
    lambda preferences: preferences.rich_mode or gettext(texts.BOT_DEFAULT),
)
"""Only where the platform has rich messages."""
PANEL_VALUES: dict[str, tuple[str, ...]] = {
    PreferenceName.TEMPERATURE: ("0", "0.5", "1", "1.5"),
    PreferenceName.ANSWER_LENGTH: ("500", "1000", "4000"),
    PreferenceName.REASONING_EFFORT: tuple(ReasoningEffort),
    PreferenceName.SHOW_REASONING: (ON, OFF),
    PreferenceName.RICH_MESSAGES: tuple(RichMode),
    PreferenceName.SHARED_CONVERSATION: (ON, OFF),
}
"""What buttons offer; people can type others."""
SETTINGS_BY_NAME: dict[str, ChatSetting] = {setting.name: setting for setting in CHAT_SETTINGS}
