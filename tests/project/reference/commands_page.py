"""docs/reference/commands.md."""

from core.commands.declarations import COMMANDS, Argument, Command
from tests.project.reference.markdown import GENERATED, code, table

INTRODUCTION = """\
Telegram, Discord and the terminal offer the same commands. Arguments in brackets are optional. In the chat, `/help` lists the commands."""


def render() -> str:
    parts = ["# Commands", GENERATED, INTRODUCTION]
    for command in map(Command.with_rich_choices, COMMANDS):
        parts += [f"## {_usage(command)}", f"{command.description}. {command.details}".rstrip()]
        if command.arguments:
            parts.append(table(("Argument", "Meaning"), [(code(a.name), _describe(a)) for a in command.arguments]))
        if command.example:
            parts.append(f"Example: {code(command.example)}")
    return "\n\n".join(parts) + "\n"


def _usage(command: Command) -> str:
    return code(f"/{command.name} {command.usage}".rstrip())


def _describe(argument: Argument) -> str:
    choices = f" One of {', '.join(map(code, argument.choices))}." if argument.choices else ""
    return f"{argument.description}.{choices}"
