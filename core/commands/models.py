"""/model and /models: which model answers, and which there are."""

import re
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TypeVar

from core.api.catalogue import Model, find_model
from core.buttons import ButtonAction, encode_action, short_digest
from core.commands.declarations import ScopeName
from core.commands.model_picker import choice_action, current_first, current_preference, menu_reply, model_menu
from core.commands.pages import paginate
from core.commands.permissions import announce, default_scope, find_scope
from core.commands.request import CommandRequest, Reply
from core.conversation.model_quotas import quotas_by_model
from core.conversation.model_registry import ModelRegistry
from core.i18n.translation import gettext
from core.port import MenuItem
from core.scopes import Scope
from core.settings import is_reset_word
from core.store.preferences import PreferenceName, delete_preference
from core.store.token_usage import UsageKind
from core.texts import models as texts
from core.texts.formatting import join_all

MAX_SEARCH_BYTES = 48
"""So that a button can carry the search."""
LINK_PREFIX = "model_"
MAX_LINK_CHARS = 64
LINK_PATTERN = re.compile(rf"{LINK_PREFIX}[\w-]+")
MAX_LINKED_MODELS = 5
MAX_AUTOCOMPLETE_CHOICES = 25
MAX_AUTOCOMPLETE_CHARS = 100

REASONING_WORDS = ("reasons", "reasoning")
VISION_WORDS = ("vision", "images", "pictures")
WINDOW_PATTERN = re.compile(r"(\d{1,6})k")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class AutocompleteChoice:
    """A completion that a platform offers while a person types a model's name."""

    label: str
    value: str


def autocomplete_models(registry: ModelRegistry, query: str) -> list[AutocompleteChoice]:
    """Completions of `query`, best first."""
    return [
        AutocompleteChoice(texts.describe_model(model)[:MAX_AUTOCOMPLETE_CHARS], model.id)
        for model in registry.suggest(query)[:MAX_AUTOCOMPLETE_CHOICES]
    ]


def search_models(registry: ModelRegistry, search: str) -> list[Model]:
    """The models that every word of `search` matches: by a part of the ID, or an ability.

    `reasons` and `vision` are abilities, `128k` is a context window of at least that many tokens.
    """
    words = search.casefold().split()
    models = (*registry.chat_models(), *registry.embedding_models())
    return [model for model in models if all(_matches(model, word) for word in words)]


def _matches(model: Model, word: str) -> bool:
    if word in REASONING_WORDS and model.has_reasoning:
        return True
    if word in VISION_WORDS and model.has_vision:
        return True
    window = WINDOW_PATTERN.fullmatch(word)
    return word in model.id.casefold() or (window is not None and model.context_window >= int(window[1]) * 1000)


def matches_search(id_: str, search: str) -> bool:
    """Whether a model's ID contains every word of `search`."""
    return all(word in id_.casefold() for word in search.casefold().split())


async def model_reply(request: CommandRequest) -> Reply:
    """`/model`, `/model NAME [SCOPE]`, `/model reset [SCOPE]`."""
    words, scopes = request.argument.split(), set(ScopeName)
    scope_name = ScopeName(words.pop().casefold()) if words and words[-1].casefold() in scopes else None
    query = " ".join(words) if any(word.casefold() not in scopes for word in words) else ""
    if not query:
        return await menu_reply(request, 0) if scope_name is None else Reply(texts.model_missing(scope_name))
    scope = await find_scope(request, scope_name or ScopeName.HERE)
    if isinstance(scope, Reply):
        return scope
    models = request.services.models
    if is_reset_word(query) and all(model.id.casefold() != query.casefold() for model in models.chat_models()):
        return await _reset(request, scope)
    match = await models.find_offered(query)
    if match.model is not None:
        return await choose_model(request, match.model, scope)
    if match.candidates:
        menu = model_menu(
            match.candidates, "", choice_action if scope_name is None else partial(_choice_for, scope_name)
        )
        return Reply(texts.ambiguous_model(query, match.candidates), menu=menu)
    embedding_model = find_model(models.embedding_models(), query).model
    return Reply(
        texts.embedding_model_chosen(embedding_model) if embedding_model else texts.unknown_model(query, match.similar)
    )


def _choice_for(scope_name: ScopeName, model: Model) -> str:
    return encode_action(ButtonAction.CHOOSE_MODEL_FOR, f"{scope_name}:{short_digest(model.id)}")


async def _reset(request: CommandRequest, scope: Scope) -> Reply:
    services = request.services
    await services.store.write(delete_preference, [scope.key], PreferenceName.MODEL)
    current = (await request.current_preferences()).values[PreferenceName.MODEL]
    text = texts.model_reset(services.models.display_name(current.value), scope, current.scope)
    return announce(request, Reply(text), scope)


async def choose_model(request: CommandRequest, model: Model, scope: Scope, *, edits_message: bool = False) -> Reply:
    await request.set_preference(scope.key, PreferenceName.MODEL, model.id)
    ledger = request.services.ledger
    quotas = await ledger.get_quotas((await request.api_key()).key_id, [model.id], UsageKind.CHAT)
    text = texts.model_changed(model, scope)
    if quotas[model.id].remaining == 0:
        text += f"\n{texts.quota_used_up(ledger.seconds_until_reset())}"
    return announce(request, Reply(text, edits_message=edits_message), scope)


def is_model_link(payload: str) -> bool:
    """Whether this is what a link to the bot contains that names a model. Telegram allows no longer ones."""
    return len(payload) <= MAX_LINK_CHARS and LINK_PATTERN.fullmatch(payload) is not None


def linked_models_reply(registry: ModelRegistry, payload: str) -> Reply | None:
    """The models that a link to the bot names, `model_llama-3-3`; None if it names none.

    Links contain letters, digits, `_` and `-` only. Nothing is chosen before the person presses the item.
    """
    name = _letters_and_digits(payload.removeprefix(LINK_PREFIX))
    if not is_model_link(payload) or not name:
        return None
    matches = [model for model in registry.chat_models() if name in _letters_and_digits(model.id)]
    if not matches:
        return Reply(gettext(texts.LINKED_MODEL_MISSING))
    # Those of which the link names the largest part of the ID.
    best = sorted(matches, key=lambda model: len(model.name))[:MAX_LINKED_MODELS]
    menu = tuple(MenuItem(model.name, choice_action(model), join_all(texts.model_features(model))) for model in best)
    if len(matches) == len(best):
        return Reply(gettext(texts.MODEL_LINKED if len(best) == 1 else texts.MODELS_LINKED), menu=menu)
    search = " ".join(re.findall(r"[^\W_]+", payload.removeprefix(LINK_PREFIX)))
    return Reply(texts.many_models_linked(search), menu=menu)


def _letters_and_digits(text: str) -> str:
    return "".join(filter(str.isalnum, text.casefold()))


async def menu_choice_reply(request: CommandRequest) -> Reply:
    """Choose the model whose menu item was pressed."""
    models, action = request.services.models.chat_models(), request.incoming.text
    model = next((model for model in models if choice_action(model) == action), None)
    if model is None:
        return Reply(gettext(texts.MODEL_RETIRED))
    return await choose_model(request, model, await default_scope(request), edits_message=True)


async def scoped_choice_reply(request: CommandRequest) -> Reply:
    """Choose the model whose menu item was pressed for the scope that the command named."""
    choices = product(ScopeName, request.services.models.chat_models())
    choice = next((choice for choice in choices if _choice_for(*choice) == request.incoming.text), None)
    if choice is None:
        return Reply(gettext(texts.MODEL_RETIRED))
    scope_name, model = choice
    scope = await find_scope(request, scope_name)
    return scope if isinstance(scope, Reply) else await choose_model(request, model, scope, edits_message=True)


async def models_reply(request: CommandRequest) -> Reply:
    search = request.argument.encode()[:MAX_SEARCH_BYTES].decode(errors="ignore")
    return await list_reply(request, search.strip(), 0)


async def list_reply(request: CommandRequest, search: str, number: int, *, edits_message: bool = False) -> Reply:
    """Page `number`, from 0, of the models that `search` finds."""
    services = request.services
    matches = search_models(services.models, search)
    if not matches:
        return Reply(texts.no_model_listed(search), edits_message=edits_message)
    current = current_preference(request).value
    page = paginate(current_first(matches, current), number, request.capabilities.list_page_size)
    quotas = await quotas_by_model(services.ledger, (await request.api_key()).key_id, page.items)
    entries = [texts.model_list_entry(m, quotas[m.id], is_current=m.id == current) for m in page.items]
    text = texts.model_list(len(matches), services.ledger.seconds_until_reset(), entries)
    buttons = page.buttons(lambda target: encode_action(ButtonAction.SHOW_MODEL_LIST, f"{target}:{search}"))
    return Reply(text, buttons, edits_message=edits_message)
