"""Commands for what the bot has stored: backups, and one person's data."""

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from bots.cli.common import (
    ConfigFile,
    check_subject,
    closing_store,
    create_console,
    load,
)

app = typer.Typer()


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="File to write. It must not exist.")], config_file: ConfigFile = None
) -> None:
    """Copy the database to a file, even while the bot runs, and check the copy.

    The file can be restored to SQLite and to PostgreSQL.
    """
    from core.backup import back_up

    async def copy() -> None:
        async with closing_store(config_file) as store:
            manifest = await back_up(store, file)
        create_console().print(f"{file}: {manifest.row_count:,} rows of {len(manifest.tables)} tables, checked.")

    asyncio.run(copy())


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `parley backup` wrote.")],
    config_file: ConfigFile = None,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace what is in the database.")] = False,
) -> None:
    """Fill the database from a backup. The bot must not run. A backup of an older version is migrated."""
    from core.backup import restore as restore_database

    async def fill() -> None:
        async with closing_store(config_file) as store:
            manifest = await restore_database(store, file, replaces=force)
        create_console().print(f"Restored {manifest.row_count:,} rows of {manifest.created_at}.", highlight=False)

    asyncio.run(fill())


def _check_person(subject: str) -> str:
    from core.scopes import person_key_of_subject

    if person_key_of_subject(check_subject(subject)) is None:
        raise typer.BadParameter(f'"{subject}" does not name a person.')
    return subject


PersonArgument = Annotated[
    str, typer.Argument(help="Such as telegram:person:ID or discord:person:ID.", callback=_check_person)
]


@app.command("export")
def export_data(person: PersonArgument, config_file: ConfigFile = None) -> None:
    """Print everything that is stored about a person, as JSON."""
    from core.personal_data import export_subject

    async def show() -> None:
        settings = load(config_file).core
        async with closing_store(config_file) as store:
            store.check_exists()
            await store.open(migrates=False)
            sys.stdout.buffer.write(await export_subject(store, settings, person) + b"\n")

    asyncio.run(show())


@app.command()
def forget(
    person: PersonArgument,
    config_file: ConfigFile = None,
    *,
    log: Annotated[
        list[Path] | None,
        typer.Option("--log", help="Log file in which lines that name the person are blanked. Can be repeated."),
    ] = None,
) -> None:
    """Erase everything that is stored about a person, even while the bot runs. This cannot be undone.

    In shared conversations, their questions, the answers to them, and their notes and files are erased. They lose the
    permission to use the bot; a ban stays. Earlier backups still contain the person, and log files may contain their
    ID: see --log.
    """
    from core.log_files import blank_lines, check_log_file
    from core.personal_data import erase_subject, find_copies

    async def erase() -> None:
        for path in log or []:
            check_log_file(path)
        settings = load(config_file).core
        async with closing_store(config_file) as store:
            store.check_exists()
            await store.open(migrates=False)
            erased = await erase_subject(store, settings, person)
            copies = find_copies(store)
        console = create_console()
        console.print(
            f"Erased {erased.messages:,} messages and {erased.entries:,} notes and files of {person}.", highlight=False
        )
        if erased.is_banned:
            console.print(f"The ban stays. Lift it with: parley ban {person} --remove", highlight=False)
        if erased.remaining_traces:
            console.print(
                f"The database's file still has traces of deleted rows: {erased.remaining_traces}. "
                "The bot removes them within minutes, or repeat this command.",
                highlight=False,
            )
        for path in log or []:
            console.print(f"{path}: {blank_lines(path, person):,} lines blanked.", highlight=False)
        if not log:
            console.print(
                "Log files and the journal may still contain the person's ID, in lines such as access.denied. To blank "
                f"these lines in a file: parley forget {person} --log FILE",
                highlight=False,
                soft_wrap=True,
            )
        for path in copies:
            console.print(f"This copy from before an update still contains the person: {path}", highlight=False)

    asyncio.run(erase())
