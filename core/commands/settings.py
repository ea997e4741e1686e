"""/settings, /system and /persona: how the model answers here."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import islice

from core.buttons import ButtonAction, encode_action
from core.commands.chat_settings import (
    CHAT_SETTINGS,
    PANEL_VALUES,
    RICH_MESSAGES,
    SETTINGS_BY_NAME,
    ChatSetting,
)
from core.commands.declarations import RESET, SETTING_NAMES, ScopeName
from core.commands.permissions import announce, default_scope, find_scope
from core.commands.request import CommandRequest, Reply
from core.commands.settings_panel import panel_names, settings_panel
from core.conversation.preferences import OFF, ON, ReasoningEffort, load_preferences
from core.i18n.translation import gettext
from core.port import Button, Incoming, MenuItem, SupportsRichMessages
from core.services import Services
from core.settings import is_default_word, is_off_word, is_reserved_word, is_reset_word
from core.store.preferences import PreferenceName, delete_preference
from core.texts import settings as texts
from core.texts.answers import BACK_BUTTON
from core.texts.formatting import either

MAX_PERSONA_BUTTONS = 25
"""What the menu with the fewest items takes; others can be typed."""
MAX_INSTRUCTIONS_CHARS = 20_000


async def settings_reply(request: CommandRequest) -> Reply:
    """`/settings`, `/settings NAME`, `/settings NAME VALUE`, `/settings NAME reset`, `/settings reset`."""
    name, value = request.first_word
    if not name:
        return settings_panel(request)
    if is_default_word(request.argument):
        return await _reset_all(request)
    if name.casefold() == PreferenceName.SHARED_CONVERSATION:
        return await _set_share(request, value)
    offers_rich = isinstance(request.adapter, SupportsRichMessages)
    is_rich = offers_rich and name.casefold() == RICH_MESSAGES.name
    setting = RICH_MESSAGES if is_rich else SETTINGS_BY_NAME.get(name.casefold())
    if setting is None:
        return Reply(texts.unknown_setting(name, (*SETTING_NAMES, *[RICH_MESSAGES.name] * offers_rich)))
    return await _change(request, setting, value)


async def _change(request: CommandRequest, setting: ChatSetting, value: str) -> Reply:
    if not value:
        current = setting.format_current(request.preferences)
        return Reply(texts.setting_details(setting.name, current, setting.describe_values()))
    accepted = setting.parse(value)
    can_be_off = setting.parse(OFF) or setting.parse(ReasoningEffort.NONE)
    if accepted is None and is_reset_word(value) and not (can_be_off and is_off_word(value)):
        return await _reset(request, setting.name)
    if accepted is None:
        return Reply(texts.invalid_setting(setting.name, setting.describe_values()))
    return await _set(request, setting.name, accepted)


async def setting_menu_reply(request: CommandRequest, name: str) -> Reply:
    """The values of one setting as buttons, in place of the panel; the panel for an unknown name."""
    if name not in panel_names(request):
        return replace(settings_panel(request), edits_message=True)
    buttons = [
        Button(value, encode_action(ButtonAction.SET_SETTING, f"{name}:{value}")) for value in PANEL_VALUES[name]
    ]
    buttons.append(Button(gettext(texts.RESET_BUTTON), encode_action(ButtonAction.SET_SETTING, f"{name}:{RESET}")))
    buttons.append(Button(gettext(BACK_BUTTON), encode_action(ButtonAction.SHOW_SETTING, "")))
    details = await settings_reply(_with_argument(request, name))
    return Reply(details.text, tuple(buttons), edits_message=True)


async def set_setting_reply(request: CommandRequest, name: str, value: str) -> Reply:
    """Change a setting by a button, and show the panel again."""
    if name not in panel_names(request):
        return replace(settings_panel(request), edits_message=True)
    changed = await settings_reply(_with_argument(request, f"{name} {value}"))
    panel = settings_panel(await _updated(request), changed.text)
    return replace(panel, edits_message=True, announcement=changed.text if _is_announced(request, changed) else "")


def _is_announced(request: CommandRequest, changed: Reply) -> bool:
    """Whether others need a message of their own about a change, because only this person may see the panel."""
    return changed.is_public and request.capabilities.has_ephemeral_messages


async def _updated(request: CommandRequest) -> CommandRequest:
    return replace(request, preferences=await request.current_preferences())


def _with_argument(request: CommandRequest, text: str) -> CommandRequest:
    return replace(request, turn=replace(request.turn, incoming=replace(request.incoming, text=text)))


async def _reset_all(request: CommandRequest) -> Reply:
    scope = await default_scope(request)
    for setting in (*CHAT_SETTINGS, RICH_MESSAGES):
        await request.services.store.write(delete_preference, [scope.key], setting.name)
    text = texts.settings_reset(scope)
    if request.preferences.is_shared:
        text += f"\n{gettext(texts.SHARE_STAYS)}"
    return announce(request, Reply(text), scope)


async def _set(request: CommandRequest, name: PreferenceName, value: str) -> Reply:
    scope = await default_scope(request)
    await request.set_preference(scope.key, name, value)
    return announce(request, Reply(texts.setting_changed(name, value, scope)), scope)


async def _reset(request: CommandRequest, name: PreferenceName) -> Reply:
    scope = await default_scope(request)
    await request.services.store.write(delete_preference, [scope.key], name)
    return announce(request, Reply(texts.setting_reset(name, scope)), scope)


async def _set_share(request: CommandRequest, value: str) -> Reply:
    name = PreferenceName.SHARED_CONVERSATION
    if value.casefold() not in ("", ON) and not is_reset_word(value):
        return Reply(texts.invalid_setting(name, either((ON, OFF))))
    if request.incoming.place.is_private:
        return Reply(gettext(texts.SHARE_IN_PRIVATE))
    if not value:
        current = ON if request.preferences.is_shared else OFF
        return Reply(texts.setting_details(name, current, texts.share_explanation()))
    scope = await find_scope(request, ScopeName.CHAT)
    if isinstance(scope, Reply):
        return scope
    is_shared = value.casefold() == ON
    await request.set_preference(scope.key, name, ON if is_shared else OFF)
    return announce(request, Reply(gettext(texts.SHARED if is_shared else texts.NOT_SHARED)), scope)


async def instructions_in_force(services: Services, incoming: Incoming) -> str:
    """What `/system` shows. Raises `StoreError`."""
    return (await services.store.read(load_preferences, incoming, services.settings)).system_prompt


async def system_reply(request: CommandRequest) -> Reply:
    """`/system`, `/system TEXT`, `/system reset`."""
    instructions = request.argument
    if not instructions:
        return Reply(texts.show_instructions(request.preferences))
    if is_reset_word(instructions):
        return await _reset_instructions(request, PreferenceName.SYSTEM_PROMPT)
    if len(instructions) > MAX_INSTRUCTIONS_CHARS:
        return Reply(texts.instructions_too_long(MAX_INSTRUCTIONS_CHARS))
    scope = await default_scope(request)
    await request.set_preference(scope.key, PreferenceName.SYSTEM_PROMPT, instructions)
    await request.services.store.write(delete_preference, [scope.key], PreferenceName.PERSONA)
    return announce(request, Reply(texts.instructions_changed(scope)), scope)


async def persona_reply(request: CommandRequest) -> Reply:
    """`/persona`, `/persona NAME`, `/persona reset`."""
    name, personas = request.argument, request.services.settings.personas
    if not personas:
        return Reply(gettext(texts.NO_PERSONAS))
    if not name:
        text = texts.persona_list(personas, request.preferences.persona)
        return Reply(text, menu=_persona_menu(personas, request.preferences.persona))
    persona = next((known for known in personas if known.casefold() == name.casefold()), None)
    if persona is None:
        similar = [known for known in personas if name.casefold() in known.casefold()]
        if is_reserved_word(name) or (is_reset_word(name) and not similar):
            return await _reset_instructions(request, PreferenceName.PERSONA)
        if not similar:
            return Reply(texts.unknown_persona(name))
        if len(similar) > 1:
            return Reply(texts.several_personas(name), menu=_persona_menu(similar, request.preferences.persona))
        persona = similar[0]
    scope = await default_scope(request)
    await request.services.store.write(delete_preference, [scope.key], PreferenceName.SYSTEM_PROMPT)
    return await _set(request, PreferenceName.PERSONA, persona)


async def persona_choice_reply(request: CommandRequest) -> Reply:
    """Choose the persona whose menu item was pressed."""
    personas, action = request.services.settings.personas, request.incoming.text
    name = next((known for known in personas if encode_action(ButtonAction.CHOOSE_PERSONA, known) == action), None)
    if name is None:
        return Reply(gettext(texts.PERSONA_REMOVED))
    changed = await persona_reply(_with_argument(request, name))
    if not _is_announced(request, changed):
        return replace(changed, edits_message=True)
    personas_menu = await persona_reply(_with_argument(await _updated(request), ""))
    return replace(personas_menu, edits_message=True, announcement=changed.text)


def _persona_menu(names: Iterable[str], current: str) -> tuple[MenuItem, ...]:
    return tuple(
        MenuItem(name, encode_action(ButtonAction.CHOOSE_PERSONA, name), is_selected=name == current)
        for name in islice(names, MAX_PERSONA_BUTTONS)
    )


async def _reset_instructions(request: CommandRequest, name: PreferenceName) -> Reply:
    """Reset the instructions or the persona, and say what applies instead unless it is the default."""
    reply = await _reset(request, name)
    remaining = texts.remaining_instructions(await request.current_preferences())
    return replace(reply, text=f"{reply.text}\n{remaining}") if remaining else reply
