"""The panel of /settings: what holds here, and how to change it by buttons or, on a card, menus."""

from core.buttons import ButtonAction, encode_action
from core.commands.chat_settings import CHAT_SETTINGS, PANEL_VALUES, RICH_MESSAGES
from core.commands.declarations import RESET
from core.commands.request import CommandRequest, Reply
from core.conversation.preferences import OFF, ON, Preferences
from core.i18n.translation import gettext
from core.port import Button, Card, CardSection, MenuItem, SupportsRichMessages
from core.store.preferences import PreferenceName
from core.texts import settings as texts


def settings_panel(request: CommandRequest, notice: str = "") -> Reply:
    """`notice`: what has just changed, in Markdown."""
    buttons = tuple(
        Button(texts.label(PreferenceName(name)), encode_action(ButtonAction.SHOW_SETTING, name))
        for name in panel_names(request)
    )
    text = "\n\n".join(filter(None, (notice, _list(request))))
    card = _card(request, notice) if request.capabilities.has_cards else None
    return Reply(text, buttons, card=card)


def _card(request: CommandRequest, notice: str) -> Card:
    sections = [CardSection(notice)] if notice else []
    sections += [_section(request, name) for name in panel_names(request)]
    *others, model = _other_lines(request)
    sections += [
        CardSection("\n".join(map(texts.without_bullet, others))),
        CardSection(
            texts.without_bullet(model),
            Button(gettext(texts.CHANGE_BUTTON), encode_action(ButtonAction.SHOW_MODEL_MENU, 0)),
        ),
    ]
    return Card(tuple(sections))


def _section(request: CommandRequest, name: str) -> CardSection:
    value = _current_value(request.preferences, name)
    choices = [*PANEL_VALUES[name], RESET] if name != PreferenceName.SHARED_CONVERSATION else PANEL_VALUES[name]
    menu = tuple(
        MenuItem(
            gettext(texts.RESET_BUTTON) if choice == RESET else choice,
            encode_action(ButtonAction.SET_SETTING, f"{name}:{choice}"),
            is_selected=choice == value,
        )
        for choice in choices
    )
    return CardSection(texts.without_bullet(_line(request, name)), menu=menu)


def _current_value(preferences: Preferences, name: str) -> str:
    """As it is stored."""
    if name == PreferenceName.SHARED_CONVERSATION:
        return ON if preferences.is_shared else OFF
    return preferences.values[PreferenceName(name)].value


def panel_names(request: CommandRequest) -> list[str]:
    names: list[str] = [setting.name for setting in CHAT_SETTINGS]
    names += [RICH_MESSAGES.name] * isinstance(request.adapter, SupportsRichMessages)
    return names + [PreferenceName.SHARED_CONVERSATION.value] * (not request.incoming.place.is_private)


def _list(request: CommandRequest) -> str:
    lines = [_line(request, name) for name in panel_names(request)]
    return texts.setting_list([*lines, *_other_lines(request)])


def _line(request: CommandRequest, name: str) -> str:
    if name == PreferenceName.SHARED_CONVERSATION:
        value = ON if request.preferences.is_shared else OFF
        label = texts.setting_label(PreferenceName.SHARED_CONVERSATION)
        return texts.setting_line(label, value, texts.share_explanation())
    setting = next(setting for setting in (*CHAT_SETTINGS, RICH_MESSAGES) if setting.name == name)
    value = setting.format_current(request.preferences)
    return texts.setting_line(texts.setting_label(setting.name), value, setting.describe_values())


def _other_lines(request: CommandRequest) -> list[str]:
    """What has commands of its own; the model comes last."""
    preferences = request.preferences
    return [
        texts.setting_line(texts.label(PreferenceName.PERSONA), preferences.persona or texts.no_persona(), "/persona"),
        texts.setting_line(
            texts.label(PreferenceName.SYSTEM_PROMPT),
            texts.instructions_length(len(preferences.system_prompt)),
            "/system",
        ),
        texts.setting_line(
            texts.label(PreferenceName.MODEL), request.services.models.display_name(preferences.model), "/model"
        ),
    ]
