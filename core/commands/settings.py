"""/settings, /system, /persona: how the model answers here."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from core.commands.reply import Reply
from core.commands.request import CommandRequest, escape_markdown, scope_label
from core.conversation.model_registry import ModelRegistry
from core.conversation.preferences import (
    ANSWER_LENGTH,
    PERSONA,
    REASONING_EFFORT,
    REASONING_EFFORTS,
    SHARED_CONVERSATION,
    SHOW_REASONING,
    SYSTEM_PROMPT,
    TEMPERATURE,
    Preferences,
)
from core.scopes import chat_scope_key
from core.store.database import Store
from core.store.preferences import Preference, delete_preference, set_preference

__all__ = ["SettingsCommands"]

MAX_INSTRUCTIONS_CHARS = 20_000  # characters
MAX_ANSWER_TOKENS = 100_000  # tokens
RESET = "reset"


@dataclass(frozen=True, slots=True)
class ChatSetting:
    """`accept` returns the value as it is kept, None for one that is not taken."""

    name: str
    label: str
    accepted_values: str
    parse: Callable[[str], str | None]
    format_value: Callable[[Preferences], str]


def _parse_temperature(value: str) -> str | None:
    try:
        temperature = float(value.replace(",", "."))
    except ValueError:
        return None
    return f"{abs(temperature):g}" if 0 <= temperature <= 2 else None  # -0 is 0


def _parse_length(value: str) -> str | None:
    digits = value.replace(",", "").replace(".", "").replace("_", "")
    if not re.fullmatch(r"\d{1,9}", digits):
        return None
    return str(int(digits)) if 16 <= int(digits) <= MAX_ANSWER_TOKENS else None


def _one_of(*values: str) -> Callable[[str], str | None]:
    return lambda value: value.casefold() if value.casefold() in values else None


CHAT_SETTINGS = (
    ChatSetting(
        TEMPERATURE,
        "How freely it answers",
        "0 to 2",
        _parse_temperature,
        lambda made: "the model's own" if made.temperature is None else f"{made.temperature:g}",
    ),
    ChatSetting(
        ANSWER_LENGTH,
        "Longest answer, in tokens",
        f"16 to {MAX_ANSWER_TOKENS:,}",
        _parse_length,
        lambda made: f"{made.max_answer_tokens:,}" if made.max_answer_tokens else "the model's own",
    ),
    ChatSetting(
        REASONING_EFFORT,
        "How much it thinks",
        ", ".join(REASONING_EFFORTS),
        _one_of(*REASONING_EFFORTS),
        lambda made: made.reasoning_effort or "the model's own",
    ),
    ChatSetting(
        SHOW_REASONING,
        "Offer to show what it thought",
        "on, off",
        _one_of("on", "off"),
        lambda made: "on" if made.shows_reasoning else "off",
    ),
)


class SettingsCommands:
    def __init__(self, store: Store, models: ModelRegistry, personas: Mapping[str, str]) -> None:
        self._store = store
        self._models = models
        self._personas = personas

    async def settings(self, request: CommandRequest) -> Reply:
        name, _, value = request.argument.partition(" ")
        value = value.strip()
        if not name:
            return self._list(request)
        if name == SHARED_CONVERSATION:
            return await self._set_share(request, value)
        setting = next((one for one in CHAT_SETTINGS if one.name == name.casefold()), None)
        if setting is None:
            names = ", ".join(f"`{one.name}`" for one in CHAT_SETTINGS)
            return Reply(
                f"I know no setting “{escape_markdown(name[:40])}”. There are {names}, `share`; each takes `reset`."
            )
        if not value:
            return Reply(
                f"{setting.label}: {setting.format_value(request.choices)}. It takes "
                f"{setting.accepted_values}, "
                f"or reset: `/settings {setting.name} …`"
            )
        return await self._set(request, setting, value)

    async def _set(self, request: CommandRequest, setting: ChatSetting, value: str) -> Reply:
        scope = request.choices.scopes[0]
        if value == RESET:
            await self._store.write(delete_preference, [scope.key], setting.name)
            return Reply(f"{setting.label}: the default again, for {scope_label(scope)}.")
        accepted = setting.parse(value)
        if accepted is None:
            return Reply(f"{setting.label} takes {setting.accepted_values}, not “{escape_markdown(value[:40])}”.")
        await self._store.write(set_preference, scope.key, setting.name, Preference(accepted, request.sender_name))
        return Reply(f"{setting.label}: {accepted} from now on, for {scope_label(scope)}.")

    def _list(self, request: CommandRequest) -> Reply:
        choices = request.choices
        lines = [
            f"- {one.label}: {one.format_value(choices)} (`/settings {one.name}`: {one.accepted_values})"
            for one in CHAT_SETTINGS
        ]
        if not request.incoming.place.is_private:
            share, other = ("on", "off") if choices.is_shared else ("off", "on")
            lines.append(f"- One conversation for everybody here: {share} (`/settings share {other}`)")
        lines += [
            f"- Persona: {escape_markdown(choices.persona) or 'none'} (/persona)",
            f"- Instructions: {len(choices.system_prompt):,} characters (/system)",
            f"- Model: {escape_markdown(self._models.display_name(choices.model))} (/model)",
            "",
            "`/settings NAME VALUE` changes one, `/settings NAME reset` takes one back.",
        ]
        return Reply("\n".join(lines))

    async def _set_share(self, request: CommandRequest, value: str) -> Reply:
        place = request.incoming.place
        if value not in ("on", "off", RESET):
            return Reply("I know `/settings share on`, `off` and `reset`.")
        if place.is_private:
            return Reply("This is a private chat: there is nobody to share with.")
        chosen = Preference("on" if value == "on" else "off", request.sender_name)
        await self._store.write(set_preference, chat_scope_key(place), SHARED_CONVERSATION, chosen)
        if value == "on":
            return Reply("Everybody here shares one conversation from now on.")
        return Reply("Each person has a conversation of their own here from now on.")

    async def system(self, request: CommandRequest) -> Reply:
        text, scope = request.argument, request.choices.scopes[0]
        if not text:
            return Reply(f"The model follows these instructions:\n\n{request.choices.system_prompt}")
        if text == RESET:
            await self._store.write(delete_preference, [scope.key], SYSTEM_PROMPT)
            return Reply("The instructions are the default ones again.")
        if len(text) > MAX_INSTRUCTIONS_CHARS:
            return Reply(f"Instructions can have {MAX_INSTRUCTIONS_CHARS:,} characters at most.")
        await self._store.write(set_preference, scope.key, SYSTEM_PROMPT, Preference(text, request.sender_name))
        return Reply(f"The model follows these instructions from now on, for {scope_label(scope)}.")

    async def persona(self, request: CommandRequest) -> Reply:
        name, scope = request.argument, request.choices.scopes[0]
        if not self._personas:
            return Reply("There are no personas here. /system sets the instructions.")
        if not name:
            now = request.choices.persona
            lines = [f"- {escape_markdown(one)}{' ← here' if one == now else ''}" for one in self._personas]
            return Reply("\n".join(["`/persona NAME` picks one, `reset` none:", "", *lines]))
        if name == RESET:
            await self._store.write(delete_preference, [scope.key], PERSONA)
            return Reply(f"No persona any more, for {scope_label(scope)}.")
        persona = next((one for one in self._personas if one.casefold() == name.casefold()), None)
        if persona is None:
            return Reply(f"There is no persona “{escape_markdown(name[:40])}”. /persona lists them.")
        await self._store.write(set_preference, scope.key, PERSONA, Preference(persona, request.sender_name))
        await self._store.write(delete_preference, [scope.key], SYSTEM_PROMPT)
        return Reply(f"**{escape_markdown(persona)}** answers from now on, for {scope_label(scope)}.")
