"""What the commands of `parley` share: settings, the database, output, and arguments that several of them take."""

import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from bots.adapters import ADAPTERS, SETTINGS_SECTIONS
from bots.tables import UNLIMITED_WIDTH
from core.settings import LoadedSettings, load_settings

if TYPE_CHECKING:
    from core.store.database import Store

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="Settings file. Default: PARLEY_CONFIG, or parley.toml in this folder if it exists."),
]


def create_console() -> Console:
    """Standard output. Lines wrap only on a terminal."""
    return Console(width=None if sys.stdout.isatty() else UNLIMITED_WIDTH)


def print_to_stderr(text: str, style: str = "") -> None:
    """Print without markup or wrapping, so that each log message is one line."""
    Console(stderr=True).print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def print_pairing_code(code: str) -> None:
    print_to_stderr(f"To become the bot's operator, send it /start {code} in a private chat within an hour.")


def load(config_file: Path | None) -> LoadedSettings:
    return load_settings(SETTINGS_SECTIONS, config_file)


@asynccontextmanager
async def closing_store(config_file: Path | None) -> "AsyncIterator[Store]":
    """The database that the settings name, not yet opened."""
    from core.store.database import Store

    store = Store(load(config_file).core.database_url)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def open_store(config_file: Path | None) -> "AsyncIterator[Store]":
    """The database that the settings name. Its schema must be that of this version."""
    async with closing_store(config_file) as store:
        await store.open(migrates=False)
        yield store


def check_subject(subject: str) -> str:
    """`subject` if `parley allow` takes it. Raises `typer.BadParameter`."""
    from core.scopes import ScopeKind, grant_subject

    patterns = {
        grant_subject(spec.platform, ScopeKind(kind), "ID"): grant_subject(spec.platform, ScopeKind(kind), id_pattern)
        for spec in ADAPTERS
        for kind, id_pattern in spec.access_subjects.items()
    }
    if not re.fullmatch("|".join(patterns.values()), subject, re.ASCII):
        raise typer.BadParameter(f'"{subject[:60]}" is none of {", ".join(patterns)}, where ID is a number.')
    return subject
