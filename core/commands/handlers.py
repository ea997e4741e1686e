"""What each command does. A handler takes what was asked and returns what to say."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from core.api.catalogue import Model
from core.commands.declared import COMMANDS, SCOPES
from core.commands.menus import model_menu
from core.commands.reply import Reply
from core.conversation.choices import MODEL, SHARE, SYSTEM, Choices
from core.conversation.models import Models, describe, length
from core.conversation.scope import Scope, chat_scope, person_key
from core.port import Capabilities, Incoming
from core.store.conversations import Choice, begin_anew, choose, unchoose
from core.store.database import Store
from core.store.turns import cancel, usage_today

__all__ = ["Asking", "Commands"]

LONGEST_SYSTEM = 20_000  # characters
BAR = 12  # characters of a usage bar


@dataclass(frozen=True, slots=True)
class Asking:
    """A command as it was given."""

    incoming: Incoming
    turn: int
    conversation: int
    choices: Choices
    may: Capabilities

    @property
    def argument(self) -> str:
        return self.incoming.text.strip()


class Commands:
    """`stop` is told which running turns a person wants ended."""

    def __init__(
        self,
        store: Store,
        models: Models,
        stop: Callable[[list[int]], None],
    ) -> None:
        self._store = store
        self._models = models
        self.stop_running = stop
        self._handlers: dict[str, Callable[[Asking], Awaitable[Reply]]] = {
            "start": self.start,
            "help": self.help,
            "model": self.model,
            "models": self.models,
            "new": self.new,
            "stop": self.stop,
            "system": self.system,
            "usage": self.usage,
            "settings": self.settings,
        }

    async def run(self, asking: Asking) -> Reply:
        name = asking.incoming.command
        handler = self._handlers.get(name)
        if handler is None:
            return Reply(f"I do not know `/{name[:32]}`. /help lists what I do.")
        return await handler(asking)

    async def start(self, asking: Asking) -> Reply:
        model = self._model_name(asking.choices.model)
        return Reply(
            f"Hello, {_literal(asking.incoming.sender.name)}. Write to me, and **{model}** "
            "answers. /model picks another model, /new begins a new conversation, "
            "/help tells the rest."
        )

    async def help(self, asking: Asking) -> Reply:
        lines = [f"- /{command.name}: {command.summary}" for command in COMMANDS]
        hint = (
            "Write to me, and a model answers."
            if asking.incoming.place.private
            else "Mention me or reply to me, or use /ask. Each person has a conversation of "
            "their own here, unless `/settings share on` makes it one for all."
        )
        return Reply("\n".join([hint, "", *lines]))

    async def new(self, asking: Asking) -> Reply:
        await self._store.write(begin_anew, asking.conversation)
        model = self._model_name(asking.choices.model)
        return Reply(f"A new conversation with **{model}**. What was said before is left out.")

    async def stop(self, asking: Asking) -> Reply:
        running, dropped = await self._store.write(cancel, asking.conversation, asking.turn)
        self.stop_running(running)
        if not running and not dropped:
            return Reply("Nothing is being written here.")
        waiting = f" {dropped} waiting {_plural(dropped, 'message')} dropped." if dropped else ""
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
            f"**{_literal(model.name)}** ({length(model.context)} tokens) answers from now on, "
            f"for {scope.label}."
        )

    def _no_match(self, query: str, candidates: tuple[Model, ...]) -> Reply:
        if not candidates:
            return Reply(f"No model is called “{_literal(query[:80])}”. /models lists them all.")
        names = "\n".join(f"- `{model.id}`" for model in candidates[:10])
        return Reply(f"Which of these do you mean by “{_literal(query[:80])}”?\n\n{names}")

    async def model_page(self, asking: Asking, page: int, *, replace: bool = False) -> Reply:
        made = asking.choices.made[MODEL]
        why = f"chosen for {made.scope.label}" if made.scope else "the default"
        by = f" by {_literal(made.by)}" if made.scope and made.by else ""
        text = f"**{self._model_name(made.value)}** answers here ({why}{by}). Pick another:"
        menu, buttons = model_menu(self._models.chat(), made.value, page, asking.may.menu_size)
        return Reply(text, buttons, menu, replace=replace)

    async def models(self, asking: Asking) -> Reply:
        wanted = asking.argument.casefold()
        found = [m for m in self._models.chat() if wanted in m.id.casefold()]
        if not found:
            return Reply(f"No model's name has “{_literal(wanted[:80])}” in it.")
        chosen = asking.choices.model
        lines = [f"- {describe(model)}{' ← here' if model.id == chosen else ''}" for model in found]
        return Reply("\n".join([f"{len(found)} {_plural(len(found), 'model')}:", "", *lines]))

    async def system(self, asking: Asking) -> Reply:
        text, scope = asking.argument, asking.choices.where[0]
        if not text:
            return Reply(f"The model follows these instructions:\n\n{asking.choices.system}")
        if text == "reset":
            await self._store.write(unchoose, [scope.key], SYSTEM)
            return Reply("The instructions are the default ones again.")
        if len(text) > LONGEST_SYSTEM:
            return Reply(f"Instructions can have {LONGEST_SYSTEM:,} characters at most.")
        by = asking.incoming.sender.name[:100]
        await self._store.write(choose, scope.key, SYSTEM, Choice(text, by))
        return Reply(f"The model follows these instructions from now on, for {scope.label}.")

    async def usage(self, asking: Asking) -> Reply:
        midnight = time.time() // 86400 * 86400
        person = person_key(asking.incoming.sender)
        used = await self._store.read(usage_today, person, midnight)
        if not used:
            return Reply("You have not used a token today.")
        most = max(tokens for _, tokens, _ in used) or 1
        lines = [
            f"{'█' * max(1, round(tokens / most * BAR)):<{BAR}} {tokens:>9,}  "
            f"{self._model_name(model)} ({answers})"
            for model, tokens, answers in used
        ]
        hours = (midnight + 86400 - time.time()) / 3600
        today = datetime.now(UTC).date().isoformat()
        chart = "\n".join(lines)
        return Reply(
            f"Your tokens on {today} (UTC):\n\n```\n{chart}\n```\n\nReset in {hours:.0f} h."
        )

    async def settings(self, asking: Asking) -> Reply:
        name, _, value = asking.argument.partition(" ")
        place = asking.incoming.place
        if not name:
            share = "on" if asking.choices.shared else "off"
            return Reply(
                f"- Model: {self._model_name(asking.choices.model)} (/model)\n"
                f"- Instructions: {len(asking.choices.system):,} characters (/system)\n"
                f"- One conversation for everybody here: {share} (`/settings share on`)"
            )
        if name != SHARE or value not in ("on", "off", "reset"):
            return Reply("I know `/settings share on`, `off` and `reset`.")
        if place.private:
            return Reply("This is a private chat: there is nobody to share with.")
        by = asking.incoming.sender.name[:100]
        chosen = Choice("on" if value == "on" else "off", by)
        await self._store.write(choose, chat_scope(place), SHARE, chosen)
        if value == "on":
            return Reply("Everybody here shares one conversation from now on.")
        return Reply("Each person has a conversation of their own here from now on.")

    def _model_name(self, id_: str) -> str:
        model = self._models.get(id_)
        return _literal(model.name if model else id_.rpartition("/")[2])


def _literal(text: str) -> str:
    """Somebody's text inside Markdown, as it is."""
    return "".join(f"\\{c}" if c in "\\`*_[]()<>#~|$!" else c for c in text)


def _plural(count: int, noun: str) -> str:
    return noun if count == 1 else f"{noun}s"
