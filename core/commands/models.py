"""/model and /models: which model answers, and which there are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from core.api.catalogue import Model, find_model
from core.buttons import ButtonAction, encode_action
from core.commands.declarations import RESET, ScopeName
from core.commands.menus import paginate
from core.commands.reply import Reply
from core.commands.request import CommandRequest
from core.conversation.ledger import Ledger, QuotaStatus
from core.conversation.model_registry import ModelRegistry
from core.conversation.preferences import EffectivePreference, Preferences, load_preferences, with_available_model
from core.conversation.turn_services import TurnServices
from core.port import MenuItem
from core.scopes import Scope, ScopeKind, person_key
from core.store.database import Store
from core.store.preferences import Preference, PreferenceName, delete_preference, set_preference
from core.store.token_usage import UsageKind
from core.texts import models as texts
from core.texts.formatting import format_context_length

__all__ = ["ModelCommands", "Suggestion", "quotas_by_model", "search_models", "suggest_models"]

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


def search_models(models: Sequence[Model], search: str) -> list[Model]:
    """The models whose IDs contain every word of `search`."""
    words = search.casefold().split()
    return [model for model in models if all(word in model.id.casefold() for word in words)]


async def quotas_by_model(ledger: Ledger, key_id: str, models: Sequence[Model]) -> dict[str, QuotaStatus]:
    """Today's quota of each model, by its ID."""
    quotas: dict[str, QuotaStatus] = {}
    for kind, is_embedding_model in ((UsageKind.CHAT, False), (UsageKind.EMBEDDINGS, True)):
        if ids := [model.id for model in models if model.is_embedding_model is is_embedding_model]:
            quotas |= await ledger.get_quotas(key_id, ids, kind)
    return quotas


class ModelCommands:
    def __init__(self, store: Store, services: TurnServices) -> None:
        self._store = store
        self._services = services
        self._registry = services.registry

    async def model(self, request: CommandRequest) -> Reply:
        """`/model`, `/model NAME [here|me|server]`, `/model reset`."""
        words = request.argument.split()
        scope_name = words.pop() if len(words) > 1 and words[-1] in set(ScopeName) else ScopeName.HERE
        query = " ".join(words)
        if not query:
            return await self.show_menu(request, 0)
        scope = self._find_scope(request, scope_name)
        if isinstance(scope, Reply):
            return scope
        if RESET in (query, scope_name):
            return await self._reset(request)
        match = self._registry.find(query)
        if match.model is not None:
            return await self.choose(request, match.model, scope)
        if match.candidates:
            return Reply(texts.ambiguous_model(query, match.candidates[:MAX_CANDIDATES]))
        embedding_model = find_model(self._registry.embedding_models(), query).model
        return Reply(texts.embedding_model_chosen(embedding_model) if embedding_model else texts.unknown_model(query))

    def _find_scope(self, request: CommandRequest, name: str) -> Scope | Reply:
        scopes = {scope.kind: scope for scope in request.preferences.scopes}
        if name == ScopeName.ME:
            return scopes[ScopeKind.PERSON]
        if name != ScopeName.SERVER:
            return request.preferences.scopes[0]
        if ScopeKind.SERVER not in scopes:
            return Reply(texts.NO_SERVER)
        return scopes[ScopeKind.SERVER] if request.incoming.sender.is_manager else Reply(texts.MANAGERS_ONLY)

    async def _reset(self, request: CommandRequest) -> Reply:
        keys = [scope.key for scope in request.preferences.scopes if scope.kind is not ScopeKind.SERVER]
        await self._store.write(delete_preference, keys, PreferenceName.MODEL)
        incoming, settings = request.incoming, self._services.settings
        current = self._current(await self._store.read(load_preferences, incoming.place, incoming.sender, settings))
        return Reply(texts.model_reset(self._registry.display_name(current.value), current.scope))

    async def choose(self, request: CommandRequest, model: Model, scope: Scope | None = None) -> Reply:
        scope = scope or request.preferences.scopes[0]
        await self._store.write(set_preference, scope.key, PreferenceName.MODEL, Preference(model.id, request.set_by))
        return Reply(texts.model_changed(model, scope))

    async def choose_by_action(self, request: CommandRequest, action: str) -> Reply:
        """Choose the model whose menu item carries `action`."""
        model = next((model for model in self._registry.chat_models() if _choice(model) == action), None)
        if model is None:
            return Reply(texts.MODEL_UNAVAILABLE)
        return Reply((await self.choose(request, model)).text, edits_message=True)

    async def show_menu(self, request: CommandRequest, number: int, *, edits_message: bool = False) -> Reply:
        current = self._current(request.preferences)
        page = paginate(self._registry.chat_models(), number, request.capabilities.menu_page_size)
        menu = tuple(
            MenuItem(
                f"{model.name} · {format_context_length(model.context_window)}",
                _choice(model),
                ", ".join(texts.model_features(model)),
                is_selected=model.id == current.value,
            )
            for model in page.items
        )
        name = self._registry.display_name
        replaced = name(current.unavailable_model) if current.unavailable_model else ""
        buttons = page.buttons(partial(encode_action, ButtonAction.SHOW_MODEL_MENU))
        return Reply(
            texts.current_model(name(current.value), current, replaced), buttons, menu, edits_message=edits_message
        )

    async def models(self, request: CommandRequest) -> Reply:
        search = request.argument.encode()[:MAX_SEARCH_BYTES].decode(errors="ignore")
        return await self.show_list(request, search.strip(), 0)

    async def show_list(
        self, request: CommandRequest, search: str, number: int, *, edits_message: bool = False
    ) -> Reply:
        """Page `number`, from 0, of the models that `search` finds."""
        matches = search_models([*self._registry.chat_models(), *self._registry.embedding_models()], search)
        if not matches:
            return Reply(texts.no_model_listed(search), edits_message=edits_message)
        page = paginate(matches, number, request.capabilities.list_page_size)
        quotas = await self._quotas(request, page.items)
        current = self._current(request.preferences).value
        entries = [texts.model_list_entry(m, quotas[m.id], is_current=m.id == current) for m in page.items]
        text = texts.model_list(len(matches), self._services.ledger.seconds_until_reset(), entries)
        buttons = page.buttons(lambda target: encode_action(ButtonAction.SHOW_MODEL_LIST, f"{target}:{search}"))
        return Reply(text, buttons, edits_message=edits_message)

    def _current(self, preferences: Preferences) -> EffectivePreference:
        return with_available_model(preferences, self._registry, self._services.settings).values[PreferenceName.MODEL]

    async def _quotas(self, request: CommandRequest, models: Sequence[Model]) -> Mapping[str, QuotaStatus]:
        api_key = await self._services.api_keys.for_person(person_key(request.incoming.sender))
        return await quotas_by_model(self._services.ledger, api_key.key_id, models)


def _choice(model: Model) -> str:
    return encode_action(ButtonAction.CHOOSE_MODEL, model.id)
