"""docs/reference/cli.md."""

from collections.abc import Iterator
from typing import Any

import typer

from bots.cli.main import app
from tests.project.reference.markdown import GENERATED, code, table

EXIT_CODES = {
    "0": "Success.",
    "1": "A defect in Parley, or a shutdown that had to be forced.",
    "2": "Wrong usage of the command line.",
    "69": "A service is unavailable: the database, the model service or a platform. Restarting may help.",
    "78": "A configuration error: a setting, a token or a file is wrong, or the database is damaged. Restarting does not help.",
    "130": "Interrupted by Ctrl+C. (`parley run` exits with 0 once it serves.)",
}


def render() -> str:
    command = typer.main.get_command(app)
    exit_codes = table(("Exit status", "Meaning"), EXIT_CODES.items())
    parts = ["# Command line", GENERATED, *_sections(command, "parley"), "## Exit status", exit_codes]
    return "\n\n".join(parts) + "\n"


def _sections(command: Any, path: str) -> Iterator[str]:
    arguments = [p.name.upper() for p in command.params if p.param_type_name == "argument"]
    yield f"## {code(' '.join((path, *arguments)))}"
    yield command.help
    context = typer.Context(command)
    if parameters := [parameter.get_help_record(context) for parameter in command.params]:
        yield table(("Parameter", "Meaning"), ((code(name), " ".join(meaning.split())) for name, meaning in parameters))
    for name, subcommand in getattr(command, "commands", {}).items():
        yield from _sections(subcommand, f"{path} {name}")
