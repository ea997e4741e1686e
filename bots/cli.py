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

from bots import log
from bots.configuration import WIDE, show
from core.api.catalogue import builtin
from core.configuration import load, misspelt, read
from core.conversation.named import missing
from core.errors import ConfigurationError, UnavailableError
from core.settings import Settings

__all__ = ["main"]

SUBJECT = re.compile(
    r"telegram:(person:|chat:-?)\d{1,20}|discord:(person|chat|server):\d{1,20}", re.ASCII
)
LAST_MOMENT = 19.0  # seconds after being told to end

T = TypeVar("T")

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="IO Intelligence's open models in Telegram, Discord and the terminal.",
)
config = typer.Typer(no_args_is_help=True, help="The settings.")
app.add_typer(config, name="config")
out = Console(width=None if sys.stdout.isatty() else WIDE)

File = Annotated[
    Path | None, typer.Option("--config", help="The settings file; default: parley.toml if there.")
]


def _show_version(wanted: bool) -> None:
    if wanted:
        out.print(f"parley {version('parley')}", highlight=False)
        raise typer.Exit


@app.callback()
def parley(
    *,
    which: Annotated[
        bool,
        typer.Option("--version", help="Which it is.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """What is the same for every command."""


@app.command()
def run(file: File = None) -> None:
    """Serve every configured platform until told to end."""
    settings = load(file)
    log.configure(settings.log_level)
    for name, meant in misspelt():
        structlog.get_logger(__name__).warning("unknown variable", name=name, meant=meant)
    _finish(_serve(settings))


async def _serve(settings: Settings) -> None:
    from bots.adapters import configured
    from core.app import serve, services

    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()

    def stop(_number: int, _frame: FrameType | None) -> None:
        # Whatever hangs: what was not finished is taken on by the next process.
        last = threading.Timer(LAST_MOMENT, os._exit, (1,))
        last.daemon = True
        last.start()
        loop.call_soon_threadsafe(stopping.set)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)  # not the loop's: it may be what hangs
    async with AsyncExitStack() as stack:
        with_ = await _unless(stopping, stack.enter_async_context(services(settings)))
        if with_ is None:
            return
        await _unless(stopping, stack.enter_async_context(with_.store.alone()))
        if not stopping.is_set():
            await serve(with_, configured(with_), stopping, show_code=_show_code)


async def _unless(stopping: asyncio.Event, beginning: Coroutine[Any, Any, T]) -> T | None:
    """What it returns; None when we are told to end before."""
    task, stopper = asyncio.create_task(beginning), asyncio.create_task(stopping.wait())
    await asyncio.wait({task, stopper}, return_when=asyncio.FIRST_COMPLETED)
    stopper.cancel()
    if not task.done():
        task.cancel()
        await asyncio.wait({task})
    return None if task.cancelled() else task.result()


def _show_code(code: str) -> None:
    _say(f"Send the bot /start {code} in a private chat within an hour to become its operator.")


@app.command()
def chat(
    file: File = None,
    model: Annotated[str, typer.Option(help="Who answers: a part of the name is enough.")] = "",
) -> None:
    """Talk to a model in this terminal."""
    from bots.terminal.chat import talk

    settings = load(file)
    log.configure("error")
    _finish(talk(settings, model))


@app.command()
def models(
    file: File = None,
    search: Annotated[str, typer.Option(help="Those with this in their names.")] = "",
) -> None:
    """List the models."""
    from bots.terminal.listing import list_models

    settings = load(file)
    log.configure("error")
    _finish(list_models(settings, search, out, Console(stderr=True)))


@app.command()
def sandbox(
    model_api: Annotated[
        str, typer.Option(help="`scripted` answers by itself; `real` uses your API key.")
    ] = "scripted",
    platform: Annotated[
        str, typer.Option(help="The client to begin with: telegram, discord.")
    ] = "telegram",
    speed: Annotated[float, typer.Option(help="Tokens a second.", min=1, max=1000)] = 40.0,
) -> None:
    """See the whole product without any account: the services' stand-ins and the real bots."""
    from bots.sandbox.run import play

    if model_api not in ("scripted", "real") or platform not in ("telegram", "discord"):
        raise ConfigurationError("--model-api is scripted or real, --platform telegram or discord")
    log.configure("error")
    _finish(play(model_api=model_api, platform=platform, speed=speed))


@app.command()
def pair(file: File = None) -> None:
    """Make a new pairing code: who sends it to the bot becomes an operator."""
    from core.store.database import Store
    from core.turns.access import new_code

    async def make() -> None:
        store = Store(load(file).database_url)
        try:
            await store.open()
            _show_code(await new_code(store))
        finally:
            await store.close()

    _finish(make())


@app.command()
def allow(
    subject: Annotated[
        str, typer.Argument(help="telegram:person:ID, telegram:chat:ID, discord:server:ID, ...")
    ],
    file: File = None,
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Take it back.")] = False,
) -> None:
    """Let a person, a chat or a server use the bot."""
    from core.store.conversations import grant, revoke
    from core.store.database import Store

    if not SUBJECT.fullmatch(subject):
        raise ConfigurationError(
            f'"{subject[:60]}" names nobody: it is telegram:person:ID, telegram:chat:ID, '
            "discord:person:ID, discord:chat:ID or discord:server:ID, and an ID is a number"
        )

    async def change() -> None:
        store = Store(load(file).database_url)
        try:
            await store.open()
            if not remove:
                await store.write(grant, subject, "member", "")
                out.print(f"{subject} may use the bot.")
            elif await store.write(revoke, subject):
                out.print(f"{subject} may not use the bot any more.")
            else:
                out.print(f"{subject} was not allowed.")
        finally:
            await store.close()

    _finish(change())


@config.command("show")
def config_show(file: File = None) -> None:
    """Every setting, its value and where it comes from; secrets only as set or not set."""
    for name, meant in misspelt():
        _say(f"parley: {name} is no setting; is {meant} meant?")
    given = read(file)
    show(given, out)
    for one in missing(given.settings, builtin()):
        if one.close:  # else it may be a model of the service that the built-in list has not
            _say(f"parley: {one} `parley models` asks the service.")


def _say(text: str) -> None:
    """To standard error, in as long a line as it takes."""
    Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)


def _finish(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def main() -> None:
    """Run the command line; every expected error is one line and an exit code."""
    try:
        app()
    except (ConfigurationError, UnavailableError) as error:
        _fail(error)
    except ExceptionGroup as group:
        expected = group.subgroup((ConfigurationError, UnavailableError))
        if expected is None:
            raise
        _fail(expected.exceptions[0])


def _fail(error: Exception) -> NoReturn:
    Console(stderr=True).print(
        f"parley: {error}", style="red", markup=False, highlight=False, soft_wrap=True
    )
    sys.exit(getattr(error, "exit_code", 1))


if __name__ == "__main__":
    main()
