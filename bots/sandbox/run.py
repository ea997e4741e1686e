"""`parley sandbox`: starts the stand-ins and the real bots, and opens the page or the shell."""

import asyncio
import contextlib
import os
import secrets
import sys
import tempfile
import webbrowser
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from bots.adapters import SETTINGS_SECTIONS
from bots.run import create_stop_event
from bots.sandbox.bot_knowledge import forget_day
from bots.sandbox.bot_process import BotProcess
from bots.sandbox.chat_clients import ChatClient, DiscordChatClient, TelegramChatClient
from bots.sandbox.discord import DiscordStandIn
from bots.sandbox.model import SPEECH_MODEL, VISION_MODEL, ModelStandIn
from bots.sandbox.model_controls import model_commands
from bots.sandbox.shell import SandboxShell
from bots.sandbox.telegram import TelegramStandIn
from bots.sandbox.web.page import SandboxPage
from bots.sandbox.web.world import World
from bots.terminal.input import LineReader, standard_input
from core.clock import run_until
from core.errors import ConfigurationError, UnavailableError
from core.settings import config_file_values
from core.settings.formatting import format_for_toml
from core.settings.loading import CONFIG_FILE_VARIABLE

READY_TIMEOUT_SECONDS = 60.0
DEPLOYMENT_KEYS = frozenset(
    {
        "monitoring_listen",
        "traces_url",
        "speech_url",
        "speech_model",
        "telegram_webhook_url",
        "telegram_webhook_listen",
    }
)
"""Keys of the settings file that connect a bot to services and ports that the sandbox does not use."""
PERSONAS = '{"teacher": "Explain step by step.", "pirate": "You speak like a pirate."}'
TELEGRAM_DESCRIPTION = (
    "Ask me anything: an open model answers. Send a picture or a file, or choose a command from the menu.\n\n"
    "The operator writes this text, in TELEGRAM_DESCRIPTION."
)
SCRIPT_HELP = "Prompts of the scripted model: repeat: TEXT, long 9000, think, slow, cut, stall, empty, error 500"
WELCOME = """\
[bold]Parley's sandbox[/bold]: the real bots, connected to simulated platforms on this machine.
{answer_source}

Write as in a chat: text, or a command such as /help, /model, /models, /stop.
Commands of the sandbox itself:
"""
PAGE_WELCOME = """\
Parley's sandbox: the real bots, connected to simulated platforms on this machine.
{answer_source}

Open this address in a browser on this machine. It works once; press Enter for another one.
Ctrl+C ends the sandbox. `parley sandbox --terminal` chats in the terminal.
"""


class SandboxClient(StrEnum):
    AUTOMATIC = "automatic"
    """The page where a browser can be opened, the shell elsewhere."""
    PAGE = "page"
    TERMINAL = "terminal"


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxOptions:
    model_api: str
    """"scripted" or "real"."""
    tokens_per_second: float
    client: SandboxClient = SandboxClient.AUTOMATIC
    platform: str = "telegram"
    """The shell's first chat."""
    port: int = 0
    """The page's; 0: any."""
    opens_browser: bool = True


@dataclass(frozen=True, slots=True)
class Services:
    telegram: TelegramStandIn
    discord: DiscordStandIn
    model: ModelStandIn | None
    answer_source: str
    environment: dict[str, str]
    """The bot's settings."""
    database: Path


async def run_sandbox(options: SandboxOptions) -> None:
    """Run until the input ends or a signal comes. Raises `ConfigurationError`, `UnavailableError`."""
    stop_requested = create_stop_event()  # at once: a signal must not leave the bot's process or files behind
    await run_until(stop_requested, _run_client(options))


async def _run_client(options: SandboxOptions) -> None:
    async with start_services(options) as services:
        browser = _find_browser() if options.opens_browser else None
        has_page = options.client is SandboxClient.PAGE or (
            options.client is SandboxClient.AUTOMATIC and browser is not None
        )
        if has_page:
            await _run_page(services, browser, options.port)
        else:
            await _run_shell(services, f":{options.platform}")


@contextlib.asynccontextmanager
async def start_services(options: SandboxOptions) -> AsyncIterator[Services]:
    """The stand-ins, and the settings that connect a bot to them. Raises `ConfigurationError`."""
    async with contextlib.AsyncExitStack() as stack:
        telegram, discord = TelegramStandIn(), DiscordStandIn()
        for stand_in in (telegram, discord):
            await stand_in.start()
            stack.push_async_callback(stand_in.close)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="parley-sandbox-")))
        file_values = config_file_values(SETTINGS_SECTIONS, except_keys=DEPLOYMENT_KEYS)
        settings_file, database = folder / "parley.toml", folder / "parley.sqlite3"
        settings_file.write_text("".join(f"{key} = {format_for_toml(value)}\n" for key, value in file_values.items()))
        environment = {
            CONFIG_FILE_VARIABLE: str(settings_file),
            "DATABASE_URL": f"sqlite:///{database}",
            **telegram.environment(),
            **discord.environment(),
            "PARLEY_ACCESS": "open",
            "PARLEY_SECRET_KEY": secrets.token_hex(16),
            "PARLEY_LOG_LEVEL": "warning",
        }
        if "personas" not in file_values:
            environment["PARLEY_PERSONAS"] = PERSONAS
        if "telegram_description" not in file_values:
            environment["TELEGRAM_DESCRIPTION"] = TELEGRAM_DESCRIPTION
        model: ModelStandIn | None = None
        answer_source = "The answers come from a script; nothing leaves this machine."
        if options.model_api == "real":
            if not os.environ.get("IOINTELLIGENCE_API_KEY"):
                raise ConfigurationError("--model-api real needs IOINTELLIGENCE_API_KEY")
            answer_source = "The answers come from the real API and use your quota."
        else:
            model = ModelStandIn(tokens_per_second=options.tokens_per_second)
            model.add_model(VISION_MODEL)
            model.add_model(SPEECH_MODEL)
            await model.start()
            stack.push_async_callback(model.close)
            environment |= model.environment()
        yield Services(telegram, discord, model, answer_source, environment, database)


# -- the page


def _find_browser() -> webbrowser.BaseBrowser | None:
    """A browser with a window, or None: a browser in the terminal would take it over."""
    try:
        browser = webbrowser.get()
    except webbrowser.Error:
        return None
    runs_in_terminal = isinstance(browser, (webbrowser.GenericBrowser, webbrowser.Elinks)) and not isinstance(
        browser, webbrowser.BackgroundBrowser
    )
    return None if runs_in_terminal else browser


async def _run_page(services: Services, browser: webbrowser.BaseBrowser | None, port: int) -> None:
    page = SandboxPage(World(services.telegram, services.discord), services.model, services.database)
    environment = {**services.environment, "PARLEY_LOG_LEVEL": "info"}
    bot = BotProcess(environment, page.show_log_line, page.show_bot_state)
    page.attach_bot(bot)
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(page.close)
        try:
            await page.start(port)
        except OSError as error:
            raise ConfigurationError(f"--port {port} cannot be used: {error.strerror}") from error
        stack.push_async_callback(bot.close)
        await page.start_bot()
        address = page.server.guard.address()
        _print_lines(PAGE_WELCOME.format(answer_source=services.answer_source), address)
        if browser is not None:
            await asyncio.to_thread(browser.open, address)
        printer = asyncio.create_task(_print_addresses(page))
        try:
            await asyncio.Event().wait()  # until the signal
        finally:
            printer.cancel()


async def _print_addresses(page: SandboxPage) -> None:
    """Print another address whenever somebody presses Enter."""
    reader = LineReader(standard_input(Console()), lambda: "")
    with contextlib.suppress(OSError):
        while await reader.read() is not None:
            _print_lines(page.server.guard.address())


def _print_lines(*lines: str) -> None:
    """Print at once, also into a pipe, so that a program can read the address."""
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


# -- the shell


async def _run_shell(services: Services, active_chat: str) -> None:
    console, telegram, discord = Console(), services.telegram, services.discord
    model = services.model
    commands = [] if model is None else model_commands(model, lambda: forget_day(services.database, model.base_url))
    shell = SandboxShell(console, _create_clients(telegram, discord), active_chat, commands)
    bot = BotProcess(services.environment, lambda line: _print_log_line(line, console))
    try:
        await bot.start()
        with console.status("Starting the bots …"):
            await _wait_until_connected(telegram, discord)
        console.print(WELCOME.format(answer_source=services.answer_source), end="")
        console.print(shell.help())
        if commands:
            console.print(SCRIPT_HELP, style="dim")
        await shell.run()
    finally:
        await bot.close()


def _create_clients(telegram: TelegramStandIn, discord: DiscordStandIn) -> dict[str, ChatClient]:
    telegram_user, discord_user = telegram.create_user("Ann"), discord.create_user("Ann")
    return {
        ":telegram": TelegramChatClient(telegram, telegram_user, is_group=False),
        ":group": TelegramChatClient(telegram, telegram_user, is_group=True),
        ":discord": DiscordChatClient(discord, discord_user, is_dm=False),
        ":dm": DiscordChatClient(discord, discord_user, is_dm=True),
    }


def _print_log_line(line: bytes, console: Console) -> None:
    """Print a log line, above a spinner if there is one."""
    console.print(format_log_line(line), style="dim", markup=False, highlight=False, soft_wrap=True)


def format_log_line(line: bytes) -> str:
    """A line of a JSON log as text; any other line as it is."""
    try:
        fields = msgspec.json.decode(line, type=dict[str, Any])
    except msgspec.DecodeError:
        return line.decode(errors="replace").rstrip()
    fields.pop("timestamp", None)
    heading = f"{fields.pop('level', '')}: {fields.pop('event', '')}"
    exception = fields.pop("exception", "")
    values = " ".join(f"{name}={value}" for name, value in fields.items() if value is not None)
    return "\n".join(filter(None, (f"{heading} {values}", exception)))


async def _wait_until_connected(telegram: TelegramStandIn, discord: DiscordStandIn) -> None:
    try:
        await telegram.wait_for(lambda: telegram.calls_to("getUpdates"), READY_TIMEOUT_SECONDS)
        await discord.wait_until_ready(READY_TIMEOUT_SECONDS)
    except TimeoutError:
        raise UnavailableError(
            f"The bots did not start within {READY_TIMEOUT_SECONDS:.0f} seconds. Look for errors above. "
            "If there are none, the machine may be too busy: try again."
        ) from None
