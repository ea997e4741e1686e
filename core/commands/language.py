"""/language: the language of the bot's own messages to a person."""

from core.buttons import ButtonAction, encode_action
from core.commands.declarations import AUTOMATIC_LANGUAGE
from core.commands.request import CommandRequest, Reply
from core.conversation.preferences import load_preferences
from core.i18n.translation import LANGUAGES, find_language, gettext, load_catalogue, speaking
from core.port import Incoming, MenuItem
from core.scopes import ScopeKind
from core.services import Services
from core.store.preferences import PreferenceName, delete_preference
from core.texts import language as texts
from core.texts.settings import ANONYMOUS


async def language_in_force(services: Services, incoming: Incoming) -> str:
    """The language of the bot's messages to the sender. Raises `StoreError`."""
    return (await services.store.read(load_preferences, incoming, services.settings)).language


async def language_reply(request: CommandRequest) -> Reply:
    """`/language`, `/language NAME`, `/language auto`."""
    if not request.argument:
        return _menu(request)
    if request.incoming.sender.is_anonymous:
        return Reply(gettext(ANONYMOUS))
    is_automatic = request.argument.casefold() == AUTOMATIC_LANGUAGE
    language = AUTOMATIC_LANGUAGE if is_automatic else find_language(request.argument)
    if language is None:
        return Reply(texts.unknown_language(request.argument))
    return await choose_language(request, language)


async def choose_language(request: CommandRequest, choice: str, *, edits_message: bool = False) -> Reply:
    """`choice`: a code of `LANGUAGES`, or `auto`. The reply is in the language that is now in force."""
    scope = next(scope for scope in request.preferences.scopes if scope.kind is ScopeKind.PERSON)
    if choice == AUTOMATIC_LANGUAGE:
        await request.services.store.write(delete_preference, [scope.key], PreferenceName.LANGUAGE)
    elif choice in LANGUAGES:
        await request.set_preference(scope.key, PreferenceName.LANGUAGE, choice)
    preferences = await request.current_preferences()
    with speaking(await load_catalogue(preferences.language)):
        text = texts.language_changed(preferences.language, is_automatic=not preferences.chosen_language)
    return Reply(text, edits_message=edits_message)


def _menu(request: CommandRequest) -> Reply:
    chosen = request.preferences.chosen_language
    items = {AUTOMATIC_LANGUAGE: gettext(texts.AUTOMATIC), **LANGUAGES}
    menu = tuple(
        MenuItem(
            label,
            encode_action(ButtonAction.CHOOSE_LANGUAGE, choice),
            is_selected=choice == (chosen or AUTOMATIC_LANGUAGE),
        )
        for choice, label in items.items()
    )
    return Reply(texts.current_language(request.preferences.language, is_automatic=not chosen), menu=menu)
