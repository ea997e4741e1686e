"""What each command does. A handler takes what was asked and returns what to say."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from core.api.catalogue import Model, find
from core.commands.asking import Asking, literal, plural
from core.commands.context import Context
from core.commands.declared import COMMANDS, SCOPES
from core.commands.key import Key
from core.commands.listing import Listing
from core.commands.menus import model_menu
from core.commands.remembering import Remembering
from core.commands.reply import Reply
from core.commands.tuning import Tuning
from core.commands.usage import Usage
from core.conversation.choices import MODEL, Chosen, answering
from core.conversation.models import length
from core.conversation.resources import Resources
from core.conversation.scope import Scope
from core.memory.memory import Memory
from core.store.conversations import Choice, begin_anew, choose, is_operator, unchoose
from core.store.database import Store
from core.store.turns import cancel

__all__ = ["Asking", "Commands"]


class Commands:
    """`stop` is told which running turns a person wants ended."""

    def __init__(
        self,
        store: Store,
        with_: Resources,
        stop: Callable[[list[int]], None],
        memory: Memory,
    ) -> None:
        self._store = store
        self._models = with_.models
        self._settings = with_.settings
        self.stop_running = stop
        self.listing = Listing(with_)
        remembering = Remembering(store, memory, with_.accounts)
        tuning = Tuning(store, with_.models, with_.settings.personas)
        self._handlers: dict[str, Callable[[Asking], Awaitable[Reply]]] = {
            "start": self.start,
            "help": self.help,
            "model": self.model,
            "models": self.listing.models,
            "usage": Usage(store, with_).usage,
            "context": Context(with_).context,
            "key": Key(with_).key,
            "remember": remembering.remember,
            "memory": remembering.memory,
            "persona": tuning.persona,
            "system": tuning.system,
            "settings": tuning.settings,
            "new": self.new,
            "stop": self.stop,
        }

    async def run(self, asking: Asking) -> Reply:
        name = asking.incoming.command
        handler = self._handlers.get(name)
        if handler is None:
            return Reply(f"I do not know `/{name[:32]}`. /help lists what I do.")
        choices = answering(asking.choices, self._models, self._settings)
        return await handler(replace(asking, choices=choices))

    async def start(self, asking: Asking) -> Reply:
        model = self._model_name(asking.choices.model)
        sender = asking.incoming.sender
        private = asking.incoming.place.private
        ask = "Write to me" if private else "Use /ask, reply to me or mention me"
        runs_it = await self._store.read(is_operator, sender.platform, sender.user)
        operator = "You are this bot's operator. " if runs_it and asking.argument else ""
        return Reply(
            f"Hello, {literal(sender.name)}. {operator}{ask}, and **{model}** "
            "answers. /model picks another model, /new begins a new conversation, "
            "/help tells the rest."
        )

    async def help(self, asking: Asking) -> Reply:
        lines = [f"- /{command.name}: {command.summary}" for command in COMMANDS]
        hint = (
            "Write to me, and a model answers."
            if asking.incoming.place.private
            else "Use /ask, reply to me or mention me. Each person has a conversation of "
            "their own here, unless `/settings share on` makes it one for all."
        )
        return Reply("\n".join([hint, "", *lines]))

    async def new(self, asking: Asking) -> Reply:
        await self._store.write(begin_anew, asking.conversation, asking.turn)
        model = self._model_name(asking.choices.model)
        return Reply(f"A new conversation with **{model}**. What was said before is left out.")

    async def stop(self, asking: Asking) -> Reply:
        running, dropped = await self._store.write(cancel, asking.conversation, asking.turn)
        self.stop_running(running)
        if not running and not dropped:
            return Reply("Nothing is being written here.")
        waiting = f" {dropped} waiting {plural(dropped, 'message')} dropped." if dropped else ""
        return Reply(f"Stopped.{waiting}")

    async def model(self, asking: Asking) -> Reply:
        """`/model`, `/model NAME [here|me|server]`, `/model reset [...]`."""
        words = asking.argument.split()
        scope_word = words.pop() if len(words) > 1 and words[-1] in SCOPES else "here"
        query = " ".join(words)
        if not query:
            return await self.model_page(asking, 0)
        scope = self._scope(asking, scope_word)
        if isinstance(scope, Reply):
            return scope
        if "reset" in (query, scope_word):
            keys = [s.key for s in asking.choices.where if s.label != "this server"]
            await self._store.write(unchoose, keys, MODEL)
            return Reply("The model is no longer chosen here. /model shows what holds now.")
        match = self._models.find(query)
        if match.model is None:
            return self._no_match(query, match.candidates)
        return await self.set_model(asking, match.model, scope)

    def _scope(self, asking: Asking, word: str) -> Scope | Reply:
        where = asking.choices.where
        if word == "me":
            return next(scope for scope in where if scope.key.startswith("person:"))
        if word == "server":
            found = [scope for scope in where if scope.key.startswith("server:")]
            if not found:
                return Reply("There is no server here.")
            if not asking.incoming.sender.manages:
                return Reply("Only who manages this server can choose its model.")
            return found[0]
        return where[0]

    async def set_model(self, asking: Asking, model: Model, scope: Scope | None = None) -> Reply:
        scope = scope or asking.choices.where[0]
        by = asking.incoming.sender.name[:100]
        await self._store.write(choose, scope.key, MODEL, Choice(model.id, by))
        return Reply(
            f"**{literal(model.name)}** ({length(model.context)} tokens) answers from now on, "
            f"for {scope.label}."
        )

    def _no_match(self, query: str, candidates: tuple[Model, ...]) -> Reply:
        if not candidates and (other := find(self._models.embedding(), query).model):
            return Reply(
                f"{literal(other.name)} is for embeddings only, by which notes and files are "
                "found: it answers nobody. /models lists those that do."
            )
        if not candidates:
            return Reply(f"No model is called “{literal(query[:80])}”. /models lists them all.")
        names = "\n".join(f"- `{model.id}`" for model in candidates[:10])
        return Reply(f"Which of these do you mean by “{literal(query[:80])}”?\n\n{names}")

    async def model_page(self, asking: Asking, page: int, *, replace: bool = False) -> Reply:
        made = answering(asking.choices, self._models, self._settings).made[MODEL]
        text = f"**{self._model_name(made.value)}** answers here ({self._why(made)}). Pick another:"
        menu, buttons = model_menu(self._models.chat(), made.value, page, asking.may.menu_size)
        return Reply(text, buttons, menu, replace=replace)

    def _why(self, made: Chosen) -> str:
        own = made.scope is not None and made.scope.key.startswith("person:")
        by = f" by {literal(made.by)}" if made.by and not own else ""
        why = f"chosen for {made.scope.label}{by}" if made.scope else "the default"
        if not made.instead_of:
            return why
        return f"in place of {self._model_name(made.instead_of)}, {why}, which is not offered"

    def _model_name(self, id_: str) -> str:
        return literal(self._models.name(id_))
