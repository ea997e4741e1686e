"""The handlers of all commands. Each takes a request and returns the reply."""

from collections.abc import Awaitable, Callable

from core.commands.access import (
    DENIED_COMMAND,
    REQUESTS_COMMAND,
    WELCOME_COMMAND,
    denied_reply,
    requests_reply,
)
from core.commands.branches import CONTINUE_FROM_COMMAND, continue_from_reply
from core.commands.compare import compare_reply
from core.commands.context import context_reply
from core.commands.declarations import COMMANDS, Command, closest_command, find_command
from core.commands.greetings import example_buttons, start_reply, welcome_reply
from core.commands.key import key_reply
from core.commands.language import language_reply
from core.commands.memory import memory_reply, remember_reply
from core.commands.models import model_reply, models_reply
from core.commands.permissions import announce
from core.commands.privacy import privacy_reply
from core.commands.request import CommandRequest, Reply
from core.commands.settings import persona_reply, settings_reply, system_reply
from core.commands.threads import thread_reply
from core.commands.transfer import PRIVATE_EXPORT_COMMAND, export_reply, import_reply, private_export_reply
from core.commands.usage import usage_reply
from core.i18n.translation import gettext
from core.port import SupportsFiles, SupportsOptionNames, SupportsRichMessages, SupportsThreadCreation
from core.scopes import ScopeKind
from core.store.claims import was_just_stopped
from core.store.conversations import reset_history
from core.texts import answers
from core.texts import commands as texts


async def run_command(request: CommandRequest) -> Reply | None:
    name = request.incoming.command
    if (internal := INTERNAL_HANDLERS.get(name)) is not None:
        return await internal(request)
    handler = HANDLERS.get(name)
    if handler is None:
        return Reply(texts.unknown_command(closest_command(name)))
    return await handler(request)


async def new_reply(request: CommandRequest) -> Reply:
    await request.services.store.write(reset_history, request.conversation_id, request.turn_id)
    reply = Reply(texts.history_reset(request.services.models.display_name(request.preferences.model)))
    if not request.preferences.is_shared or request.incoming.is_confidential:
        return reply
    return announce(request, reply, next(s for s in request.preferences.scopes if s.kind is ScopeKind.CHAT))


async def stop_reply(request: CommandRequest) -> Reply:
    result = await request.cancel_turns(request.conversation_id)
    if result.dropped:
        return Reply(answers.messages_dropped(result.dropped))
    is_stopped = bool(result.running) or await request.services.store.read(
        was_just_stopped, request.conversation_id, request.turn_id
    )
    return Reply(gettext(answers.STOPPED if is_stopped else texts.NOTHING_TO_STOP))


async def help_reply(request: CommandRequest) -> Reply:
    name = request.argument.removeprefix("/").casefold()
    if not name:
        is_private = request.incoming.place.is_private
        has_threads = isinstance(request.adapter, SupportsThreadCreation) and request.incoming.place.server is not None
        commands = [command for command in COMMANDS if has_threads or not command.needs_threads]
        lines = [texts.command_line(_usage(command, request), command.description) for command in commands]
        return Reply(
            texts.help_page(
                lines,
                is_private=is_private,
                reads_files=isinstance(request.adapter, SupportsFiles),
                receives_mentions=await request.receives_mentions(),
            ),
            example_buttons(is_private=is_private),
        )
    command = find_command(name)
    return Reply(texts.unknown_command(closest_command(name)) if command is None else await _explain(command, request))


async def _explain(command: Command, request: CommandRequest) -> str:
    blocks = [_usage(command, request), texts.command_details(command.description, command.details)]
    if command.arguments:
        names = [await _name_in_client(argument.name, request) for argument in command.arguments]
        lines = zip(names, command.arguments, strict=True)
        blocks.append("\n".join(texts.command_line(f"`{name}`", argument.description) for name, argument in lines))
    if command.example:
        blocks.append(texts.command_example(command.example))
    return "\n\n".join(blocks)


async def _name_in_client(argument: str, request: CommandRequest) -> str:
    """The name of an argument as the person sees it."""
    adapter = request.adapter
    language = request.incoming.sender.language
    return await adapter.option_name(argument, language) if isinstance(adapter, SupportsOptionNames) else argument


def _usage(command: Command, request: CommandRequest) -> str:
    if isinstance(request.adapter, SupportsRichMessages):
        command = command.with_rich_choices()
    return f"/{command.name} `{command.usage}`" if command.usage else f"/{command.name}"


HANDLERS: dict[str, Callable[[CommandRequest], Awaitable[Reply]]] = {
    "start": start_reply,
    "help": help_reply,
    "model": model_reply,
    "models": models_reply,
    "compare": compare_reply,
    "usage": usage_reply,
    "context": context_reply,
    "key": key_reply,
    "remember": remember_reply,
    "memory": memory_reply,
    "persona": persona_reply,
    "system": system_reply,
    "settings": settings_reply,
    "new": new_reply,
    "thread": thread_reply,
    "stop": stop_reply,
    "language": language_reply,
    "export": export_reply,
    "import": import_reply,
    "privacy": privacy_reply,
}

INTERNAL_HANDLERS: dict[str, Callable[[CommandRequest], Awaitable[Reply | None]]] = {
    DENIED_COMMAND: denied_reply,
    REQUESTS_COMMAND: requests_reply,
    WELCOME_COMMAND: welcome_reply,
    CONTINUE_FROM_COMMAND: continue_from_reply,
    PRIVATE_EXPORT_COMMAND: private_export_reply,
}
"""Commands that nobody types: the bot's unprompted messages, and actions that have another control on a platform."""
