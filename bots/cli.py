"""The `parley` command.

Exit codes: 0, 1 (a defect), 69 (a service is unavailable), 78 (configuration: do not restart).
"""

import asyncio
import os
import re
import signal
import sys
import threading
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from importlib.metadata import version
from pathlib import Path
from types import FrameType
from typing import Annotated, Any, NoReturn, TypeVar

import structlog
import typer
from rich.console import Console

from bots import logging_setup
from bots.settings_table import UNLIMITED_WIDTH, print_settings
from core.api.catalogue import builtin_models
from core.configuration import find_misspelled_variables, load, load_with_sources
from core.conversation.unknown_models import find_unknown_models
from core.errors import ConfigurationError, UnavailableError
from core.settings import Settings

__all__ = ["main"]

SUBJECT_PATTERN = re.compile(r"telegram:(person:|chat:-?)\d{1,20}|discord:(person|chat|server):\d{1,20}", re.ASCII)
FORCED_EXIT_SECONDS = 19.0  # seconds after being told to end

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="IO Intelligence's open models in Telegram, Discord and the terminal.",
)
config_app = typer.Typer(no_args_is_help=True, help="The settings.")
app.add_typer(config_app, name="config")
console = Console(width=None if sys.stdout.isatty() else UNLIMITED_WIDTH)

ConfigFile = Annotated[Path | None, typer.Option("--config", help="The settings file; default: parley.toml if there.")]


def _print_version(requested: bool) -> None:
    if requested:
        console.print(f"parley {version('parley')}", highlight=False)
        raise typer.Exit


@app.callback()
def global_options(
    *,
    show_version: Annotated[
        bool,
        typer.Option("--version", help="Which it is.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """What is the same for every command."""


@app.command()
def run(config_file: ConfigFile = None) -> None:
    """Serve every configured platform until told to end."""
    settings = load(config_file)
    logging_setup.configure(settings.log_level)
    for name, meant in find_misspelled_variables():
        structlog.get_logger(__name__).warning("unknown variable", name=name, meant=meant)
    _run_async(_serve(settings))


async def _serve(settings: Settings) -> None:
    from bots.adapters import create_adapters
    from core.app import open_services, serve

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(_number: int, _frame: FrameType | None) -> None:
        # Whatever hangs: what was not finished is taken on by the next process.
        last = threading.Timer(FORCED_EXIT_SECONDS, os._exit, (1,))
        last.daemon = True
        last.start()
        loop.call_soon_threadsafe(stopping.set)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)  # not the loop's: it may be what hangs
    async with AsyncExitStack() as stack:
        services = await _run_unless_stopped(stopping, stack.enter_async_context(open_services(settings)))
        if services is None:
            return
        await _run_unless_stopped(stopping, stack.enter_async_context(services.store.exclusive()))
        if not stopping.is_set():
            await serve(services, create_adapters(services), stopping, show_pairing_code=_print_pairing_code)


async def _run_unless_stopped(stopping: asyncio.Event, coroutine: Coroutine[Any, Any, T]) -> T | None:
    """What it returns; None when we are told to end before."""
    task, stop_waiter = asyncio.create_task(coroutine), asyncio.create_task(stopping.wait())
    await asyncio.wait({task, stop_waiter}, return_when=asyncio.FIRST_COMPLETED)
    stop_waiter.cancel()
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
    return None if task.cancelled() else task.result()


def _print_pairing_code(code: str) -> None:
    _print_to_stderr(f"Send the bot /start {code} in a private chat within an hour to become its operator.")


@app.command()
def chat(
    config_file: ConfigFile = None,
    model: Annotated[str, typer.Option(help="Who answers: a part of the name is enough.")] = "",
) -> None:
    """Talk to a model in this terminal."""
    from bots.terminal.adapter import run_terminal_chat

    settings = load(config_file)
    logging_setup.configure("error")
    _run_async(run_terminal_chat(settings, model))


@app.command()
def models(
    config_file: ConfigFile = None,
    search: Annotated[str, typer.Option(help="Those with this in their names.")] = "",
) -> None:
    """List the models."""
    from bots.terminal.list_models import list_models

    settings = load(config_file)
    logging_setup.configure("error")
    _run_async(list_models(settings, search, console, Console(stderr=True)))


@app.command()
def sandbox(
    model_api: Annotated[
        str, typer.Option(help="`scripted` answers by itself; `real` uses your API key.")
    ] = "scripted",
    platform: Annotated[str, typer.Option(help="The client to begin with: telegram, discord.")] = "telegram",
    speed: Annotated[float, typer.Option(help="Tokens a second.", min=1, max=1000)] = 40.0,
) -> None:
    """See the whole product without any account: the services' stand-ins and the real bots."""
    from bots.sandbox.run import run_sandbox

    if model_api not in ("scripted", "real") or platform not in ("telegram", "discord"):
        raise ConfigurationError("--model-api is scripted or real, --platform telegram or discord")
    logging_setup.configure("error")
    _run_async(run_sandbox(model_api=model_api, platform=platform, tokens_per_second=speed))


@app.command()
def pair(config_file: ConfigFile = None) -> None:
    """Make a new pairing code: who sends it to the bot becomes an operator."""
    from core.store.database import Store
    from core.turns.access_control import create_pairing_code

    async def make() -> None:
        store = Store(load(config_file).database_url)
        try:
            await store.open()
            _print_pairing_code(await create_pairing_code(store))
        finally:
            await store.close()

    _run_async(make())


@app.command()
def allow(
    subject: Annotated[str, typer.Argument(help="telegram:person:ID, telegram:chat:ID, discord:server:ID, ...")],
    config_file: ConfigFile = None,
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Take it back.")] = False,
) -> None:
    """Let a person, a chat or a server use the bot."""
    from core.store.conversations import grant, revoke
    from core.store.database import Store

    if not SUBJECT_PATTERN.fullmatch(subject):
        raise ConfigurationError(
            f'"{subject[:60]}" names nobody: it is telegram:person:ID, telegram:chat:ID, '
            "discord:person:ID, discord:chat:ID or discord:server:ID, and an ID is a number"
        )

    async def change() -> None:
        store = Store(load(config_file).database_url)
        try:
            await store.open()
            if not remove:
                await store.write(grant, subject, "member", "")
                console.print(f"{subject} may use the bot.")
            elif await store.write(revoke, subject):
                console.print(f"{subject} may not use the bot any more.")
            else:
                console.print(f"{subject} was not allowed.")
        finally:
            await store.close()

    _run_async(change())


@config_app.command("show")
def config_show(config_file: ConfigFile = None) -> None:
    """Every setting, its value and where it comes from; secrets only as set or not set."""
    for name, meant in find_misspelled_variables():
        _print_to_stderr(f"parley: {name} is no setting; is {meant} meant?")
    loaded = load_with_sources(config_file)
    print_settings(loaded, console)
    for one in find_unknown_models(loaded.settings, builtin_models()):
        if one.suggestions:  # else it may be a model of the service that the built-in list has not
            _print_to_stderr(f"parley: {one} `parley models` asks the service.")


def _print_to_stderr(text: str) -> None:
    """To standard error, in as long a line as it takes."""
    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)


def _run_async(coroutine: Coroutine[Any, Any, None]) -> None:
    asyncio.run(coroutine)


def main() -> None:
    """Run the command line; every expected error is one line and an exit code."""
    try:
        app()
    except (ConfigurationError, UnavailableError) as error:
        _exit_with_error(error)
    except ExceptionGroup as group:
        expected = group.subgroup((ConfigurationError, UnavailableError))
        if expected is None:
            raise
        _exit_with_error(expected.exceptions[0])


def _exit_with_error(error: Exception) -> NoReturn:
    Console(stderr=True).print(f"parley: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
    sys.exit(getattr(error, "exit_code", 1))


if __name__ == "__main__":
    main()
