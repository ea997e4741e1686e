"""The handlers of all commands. Each takes a request and returns the reply."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from core.commands.context import ContextCommand
from core.commands.declarations import closest_command
from core.commands.help import help_reply
from core.commands.key import KeyCommand
from core.commands.memory import MemoryCommands
from core.commands.models import ModelCommands
from core.commands.reply import Reply
from core.commands.request import CommandRequest
from core.commands.settings import SettingsCommands
from core.commands.usage import UsageCommand
from core.conversation.preferences import with_available_model
from core.conversation.turn_services import TurnServices
from core.memory.service import MemoryService
from core.store.claims import cancel_turns
from core.store.conversations import reset_history
from core.store.database import Store
from core.store.grants import is_operator
from core.texts import answers
from core.texts import commands as texts

__all__ = ["CommandHandlers"]


class CommandHandlers:
    """`stop_local_turns` stops those of the turns that run in this process."""

    def __init__(
        self,
        store: Store,
        services: TurnServices,
        stop_local_turns: Callable[[list[int]], None],
        memory: MemoryService,
    ) -> None:
        self._store = store
        self._registry = services.registry
        self._settings = services.settings
        self.stop_local_turns = stop_local_turns
        self.models = ModelCommands(store, services)
        memory_commands = MemoryCommands(store, memory, services.api_keys)
        settings_commands = SettingsCommands(store, services.registry, services.settings.personas)
        self._handlers: dict[str, Callable[[CommandRequest], Awaitable[Reply]]] = {
            "start": self.start,
            "help": help_reply,
            "model": self.models.model,
            "models": self.models.models,
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
            return Reply(texts.unknown_command(closest_command(name)))
        preferences = with_available_model(request.preferences, self._registry, self._settings)
        return await handler(replace(request, preferences=preferences))

    async def start(self, request: CommandRequest) -> Reply:
        sender = request.incoming.sender
        is_new_operator = bool(request.argument) and await self._store.read(is_operator, sender.platform, sender.user)
        return Reply(
            texts.greeting(
                sender.name,
                self._registry.display_name(request.preferences.model),
                is_private=request.incoming.place.is_private,
                is_new_operator=is_new_operator,
            )
        )

    async def new(self, request: CommandRequest) -> Reply:
        await self._store.write(reset_history, request.conversation_id, request.turn_id)
        return Reply(texts.history_reset(self._registry.display_name(request.preferences.model)))

    async def stop(self, request: CommandRequest) -> Reply:
        result = await self._store.write(cancel_turns, request.conversation_id, request.turn_id)
        self.stop_local_turns(result.running)
        if result.dropped:
            return Reply(answers.messages_dropped(result.dropped))
        return Reply(answers.STOPPED if result.running else texts.NOTHING_TO_STOP)
