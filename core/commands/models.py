"""/model and /models: which model answers, and which there are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from core.api.catalogue import Model, find_model
from core.buttons import ButtonAction, encode_action
from core.commands.declarations import RESET, ScopeName
from core.commands.menus import paginate
from core.commands.request import CommandRequest, Reply
from core.conversation.ledger import Ledger, QuotaStatus
from core.conversation.model_registry import ModelRegistry
from core.conversation.preferences import EffectivePreference, Preferences, load_preferences, with_available_model
from core.port import MenuItem
from core.scopes import Scope, ScopeKind
from core.services import Services
from core.store.preferences import PreferenceName, delete_preference
from core.store.token_usage import UsageKind
from core.texts import models as texts
from core.texts.formatting import format_context_length

MAX_SEARCH_BYTES = 48
"""So that a button can carry the search."""
MAX_CANDIDATES = 10
MAX_SUGGESTIONS = 25
MAX_SUGGESTION_CHARS = 100


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A completion that a platform offers while a person types a model's name."""

    label: str
    value: str


def suggest_models(registry: ModelRegistry, query: str) -> list[Suggestion]:
    """Completions of `query`, best first."""
    return [
        Suggestion(texts.describe_model(model)[:MAX_SUGGESTION_CHARS], model.id)
        for model in registry.suggest(query)[:MAX_SUGGESTIONS]
    ]


def search_models(registry: ModelRegistry, search: str) -> list[Model]:
    """The models whose IDs contain every word of `search`."""
    models, words = (*registry.chat_models(), *registry.embedding_models()), search.casefold().split()
    return [model for model in models if all(word in model.id.casefold() for word in words)]


async def quotas_by_model(ledger: Ledger, key_id: str, models: Sequence[Model]) -> dict[str, QuotaStatus]:
    """Today's quota of each model, by its ID."""
    quotas: dict[str, QuotaStatus] = {}
    for kind, is_embedding_model in ((UsageKind.CHAT, False), (UsageKind.EMBEDDINGS, True)):
        if ids := [model.id for model in models if model.is_embedding_model is is_embedding_model]:
            quotas |= await ledger.get_quotas(key_id, ids, kind)
    return quotas


async def model_reply(request: CommandRequest) -> Reply:
    """`/model`, `/model NAME [here|me|server]`, `/model reset`."""
    models, words = request.services.models, request.argument.split()
    scope_name = words.pop() if len(words) > 1 and words[-1] in set(ScopeName) else ScopeName.HERE
    query = " ".join(words)
    if not query:
        return await menu_reply(request, 0)
    scope = _find_scope(request, scope_name)
    if isinstance(scope, Reply):
        return scope
    if RESET in (query, scope_name):
        return await _reset(request)
    match = models.find(query)
    if match.model is not None:
        return await _choose(request, match.model, scope)
    if match.candidates:
        return Reply(texts.ambiguous_model(query, match.candidates[:MAX_CANDIDATES]))
    embedding_model = find_model(models.embedding_models(), query).model
    return Reply(texts.embedding_model_chosen(embedding_model) if embedding_model else texts.unknown_model(query))


def _find_scope(request: CommandRequest, name: str) -> Scope | Reply:
    scopes = {scope.kind: scope for scope in request.preferences.scopes}
    if name == ScopeName.ME:
        return scopes[ScopeKind.PERSON]
    if name != ScopeName.SERVER:
        return request.scope
    if ScopeKind.SERVER not in scopes:
        return Reply(texts.NO_SERVER)
    return scopes[ScopeKind.SERVER] if request.incoming.sender.is_manager else Reply(texts.MANAGERS_ONLY)


async def _reset(request: CommandRequest) -> Reply:
    services, incoming = request.services, request.incoming
    keys = [scope.key for scope in request.preferences.scopes if scope.kind is not ScopeKind.SERVER]
    await services.store.write(delete_preference, keys, PreferenceName.MODEL)
    preferences = await services.store.read(load_preferences, incoming, services.settings)
    current = _current(services, preferences)
    return Reply(texts.model_reset(services.models.display_name(current.value), current.scope))


async def _choose(request: CommandRequest, model: Model, scope: Scope) -> Reply:
    await request.set_preference(scope.key, PreferenceName.MODEL, model.id)
    return Reply(texts.model_changed(model, scope))


async def menu_choice_reply(request: CommandRequest) -> Reply:
    """Choose the model whose menu item was pressed."""
    models, action = request.services.models.chat_models(), request.incoming.text
    model = next((model for model in models if _choice(model) == action), None)
    if model is None:
        return Reply(texts.MODEL_UNAVAILABLE)
    return replace(await _choose(request, model, request.scope), edits_message=True)


async def menu_reply(request: CommandRequest, number: int, *, edits_message: bool = False) -> Reply:
    models, current = request.services.models, _current(request.services, request.preferences)
    page = paginate(models.chat_models(), number, request.capabilities.menu_page_size)
    menu = tuple(
        MenuItem(
            f"{model.name} · {format_context_length(model.context_window)}",
            _choice(model),
            ", ".join(texts.model_features(model)),
            is_selected=model.id == current.value,
        )
        for model in page.items
    )
    replaced = models.display_name(current.unavailable_model) if current.unavailable_model else ""
    text = texts.current_model(models.display_name(current.value), current, replaced)
    buttons = page.buttons(partial(encode_action, ButtonAction.SHOW_MODEL_MENU))
    return Reply(text, buttons, menu, edits_message=edits_message)


async def models_reply(request: CommandRequest) -> Reply:
    search = request.argument.encode()[:MAX_SEARCH_BYTES].decode(errors="ignore")
    return await list_reply(request, search.strip(), 0)


async def list_reply(request: CommandRequest, search: str, number: int, *, edits_message: bool = False) -> Reply:
    """Page `number`, from 0, of the models that `search` finds."""
    services = request.services
    matches = search_models(services.models, search)
    if not matches:
        return Reply(texts.no_model_listed(search), edits_message=edits_message)
    page = paginate(matches, number, request.capabilities.list_page_size)
    quotas = await quotas_by_model(services.ledger, (await request.api_key()).key_id, page.items)
    current = _current(services, request.preferences).value
    entries = [texts.model_list_entry(m, quotas[m.id], is_current=m.id == current) for m in page.items]
    text = texts.model_list(len(matches), services.ledger.seconds_until_reset(), entries)
    buttons = page.buttons(lambda target: encode_action(ButtonAction.SHOW_MODEL_LIST, f"{target}:{search}"))
    return Reply(text, buttons, edits_message=edits_message)


def _current(services: Services, preferences: Preferences) -> EffectivePreference:
    return with_available_model(preferences, services.models).values[PreferenceName.MODEL]


def _choice(model: Model) -> str:
    return encode_action(ButtonAction.CHOOSE_MODEL, model.id)
