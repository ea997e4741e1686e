"""What each command does. A handler takes what was asked and returns what to say."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from core.api.catalogue import Model, find_model
from core.commands.context import ContextCommand
from core.commands.declarations import COMMANDS, SCOPE_NAMES
from core.commands.key import KeyCommand
from core.commands.memory import MemoryCommands
from core.commands.menus import model_menu
from core.commands.models import ModelsCommand
from core.commands.reply import Reply
from core.commands.request import CommandRequest, escape_markdown, pluralize, scope_label
from core.commands.settings import SettingsCommands
from core.commands.usage import UsageCommand
from core.conversation.model_registry import format_context_length
from core.conversation.preferences import MODEL, EffectivePreference, with_available_model
from core.conversation.turn_services import TurnServices
from core.memory.service import MemoryService
from core.scopes import Scope, ScopeKind
from core.store.claims import cancel_turns
from core.store.conversations import reset_history
from core.store.database import Store
from core.store.grants import is_operator
from core.store.preferences import Preference, delete_preference, set_preference

__all__ = ["CommandHandlers", "CommandRequest"]


class CommandHandlers:
    """`stop` is told which running turns a person wants ended."""

    def __init__(
        self,
        store: Store,
        services: TurnServices,
        cancel_turns: Callable[[list[int]], None],
        memory: MemoryService,
    ) -> None:
        self._store = store
        self._models = services.registry
        self._settings = services.settings
        self.cancel_turns = cancel_turns
        self.models_command = ModelsCommand(services)
        memory_commands = MemoryCommands(store, memory, services.api_keys)
        settings_commands = SettingsCommands(store, services.registry, services.settings.personas)
        self._handlers: dict[str, Callable[[CommandRequest], Awaitable[Reply]]] = {
            "start": self.start,
            "help": self.help,
            "model": self.model,
            "models": self.models_command.handle,
            "usage": UsageCommand(store, services).handle,
            "context": ContextCommand(services).handle,
            "key": KeyCommand(services).handle,
            "remember": memory_commands.remember,
            "memory": memory_commands.memory,
            "persona": settings_commands.persona,
            "system": settings_commands.system,
            "settings": settings_commands.settings,
            "new": self.new,
            "stop": self.stop,
        }

    async def run(self, request: CommandRequest) -> Reply:
        name = request.incoming.command
        handler = self._handlers.get(name)
        if handler is None:
            return Reply(f"I do not know `/{name[:32]}`. /help lists what I do.")
        choices = with_available_model(request.choices, self._models, self._settings)
        return await handler(replace(request, choices=choices))

    async def start(self, request: CommandRequest) -> Reply:
        model = self._model_name(request.choices.model)
        sender = request.incoming.sender
        private = request.incoming.place.is_private
        how_to_ask = "Write to me" if private else "Use /ask, reply to me or mention me"
        is_bot_operator = await self._store.read(is_operator, sender.platform, sender.user)
        operator = "You are this bot's operator. " if is_bot_operator and request.argument else ""
        return Reply(
            f"Hello, {escape_markdown(sender.name)}. {operator}{how_to_ask}, and **{model}** "
            "answers. /model picks another model, /new begins a new conversation, "
            "/help tells the rest."
        )

    async def help(self, request: CommandRequest) -> Reply:
        lines = [f"- /{command.name}: {command.description}" for command in COMMANDS]
        hint = (
            "Write to me, and a model answers."
            if request.incoming.place.is_private
            else "Use /ask, reply to me or mention me. Each person has a conversation of "
            "their own here, unless `/settings share on` makes it one for all."
        )
        return Reply("\n".join([hint, "", *lines]))

    async def new(self, request: CommandRequest) -> Reply:
        await self._store.write(reset_history, request.conversation_id, request.turn_id)
        model = self._model_name(request.choices.model)
        return Reply(f"A new conversation with **{model}**. What was said before is left out.")

    async def stop(self, request: CommandRequest) -> Reply:
        result = await self._store.write(cancel_turns, request.conversation_id, request.turn_id)
        self.cancel_turns(result.running)
        if not result.running and not result.dropped:
            return Reply("Nothing is being written here.")
        waiting = f" {result.dropped} waiting {pluralize(result.dropped, 'message')} dropped." if result.dropped else ""
        return Reply(f"Stopped.{waiting}")

    async def model(self, request: CommandRequest) -> Reply:
        """`/model`, `/model NAME [here|me|server]`, `/model reset [...]`."""
        words = request.argument.split()
        scope_word = words.pop() if len(words) > 1 and words[-1] in SCOPE_NAMES else "here"
        query = " ".join(words)
        if not query:
            return await self.model_page(request, 0)
        scope = self._resolve_scope(request, scope_word)
        if isinstance(scope, Reply):
            return scope
        if "reset" in (query, scope_word):
            keys = [s.key for s in request.choices.scopes if s.kind is not ScopeKind.SERVER]
            await self._store.write(delete_preference, keys, MODEL)
            return Reply("The model is no longer chosen here. /model shows what holds now.")
        match = self._models.find(query)
        if match.model is None:
            return self._no_match_reply(query, match.candidates)
        return await self.set_model(request, match.model, scope)

    def _resolve_scope(self, request: CommandRequest, word: str) -> Scope | Reply:
        scopes = request.choices.scopes
        if word == "me":
            return next(scope for scope in scopes if scope.kind is ScopeKind.PERSON)
        if word == "server":
            server_scopes = [scope for scope in scopes if scope.kind is ScopeKind.SERVER]
            if not server_scopes:
                return Reply("There is no server here.")
            if not request.incoming.sender.is_manager:
                return Reply("Only who manages this server can choose its model.")
            return server_scopes[0]
        return scopes[0]

    async def set_model(self, request: CommandRequest, model: Model, scope: Scope | None = None) -> Reply:
        scope = scope or request.choices.scopes[0]
        by = request.incoming.sender.name[:100]
        await self._store.write(set_preference, scope.key, MODEL, Preference(model.id, by))
        return Reply(
            f"**{escape_markdown(model.name)}** "
            f"({format_context_length(model.context_window)} tokens) answers from now on, "
            f"for {scope_label(scope)}."
        )

    def _no_match_reply(self, query: str, candidates: tuple[Model, ...]) -> Reply:
        if not candidates and (other := find_model(self._models.embedding_models(), query).model):
            return Reply(
                f"{escape_markdown(other.name)} is for embeddings only, by which notes and "
                "files are "
                "found: it answers nobody. /models lists those that do."
            )
        if not candidates:
            return Reply(f"No model is called “{escape_markdown(query[:80])}”. /models lists them all.")
        names = "\n".join(f"- `{model.id}`" for model in candidates[:10])
        return Reply(f"Which of these do you mean by “{escape_markdown(query[:80])}”?\n\n{names}")

    async def model_page(self, request: CommandRequest, page: int, *, edits_message: bool = False) -> Reply:
        chosen = with_available_model(request.choices, self._models, self._settings).values[MODEL]
        text = f"**{self._model_name(chosen.value)}** answers here ({self._explain_choice(chosen)}). Pick another:"
        menu, buttons = model_menu(self._models.chat_models(), chosen.value, page, request.capabilities.menu_page_size)
        return Reply(text, buttons, menu, edits_message=edits_message)

    def _explain_choice(self, chosen: EffectivePreference) -> str:
        is_personal = chosen.scope is not None and chosen.scope.kind is ScopeKind.PERSON
        by = f" by {escape_markdown(chosen.set_by)}" if chosen.set_by and not is_personal else ""
        explanation = f"chosen for {scope_label(chosen.scope)}{by}" if chosen.scope else "the default"
        if not chosen.unavailable_model:
            return explanation
        return f"in place of {self._model_name(chosen.unavailable_model)}, {explanation}, which is not offered"

    def _model_name(self, id_: str) -> str:
        return escape_markdown(self._models.display_name(id_))
