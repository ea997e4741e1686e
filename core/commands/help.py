"""/help: all commands, or one command explained, from their declarations."""

from core.commands.declarations import COMMANDS, Command, closest_command, find_command
from core.commands.request import CommandRequest, Reply
from core.port import SupportsFiles
from core.texts import commands as texts


async def help_reply(request: CommandRequest) -> Reply:
    name = request.argument.removeprefix("/").casefold()
    if not name:
        lines = [f"- {_usage(command)}: {command.description}" for command in COMMANDS]
        is_private = request.incoming.place.is_private
        return Reply(
            texts.help_page(lines, is_private=is_private, reads_files=isinstance(request.adapter, SupportsFiles))
        )
    command = find_command(name)
    return Reply(texts.unknown_command(closest_command(name)) if command is None else _explain(command))


def _explain(command: Command) -> str:
    blocks = [_usage(command), f"{command.description}. {command.details}".strip()]
    if command.arguments:
        blocks.append("\n".join(f"- `{argument.name}`: {argument.description}" for argument in command.arguments))
    if command.example:
        blocks.append(f"Example: `{command.example}`")
    return "\n\n".join(blocks)


def _usage(command: Command) -> str:
    return f"/{command.name} `{command.usage}`" if command.usage else f"/{command.name}"
