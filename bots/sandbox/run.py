"""`parley sandbox`: starts the stand-ins and the real bots, and opens the shell."""

import asyncio
import contextlib
import os
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console

from bots.adapters import SETTINGS_SECTIONS
from bots.sandbox.chat_clients import ChatClient, DiscordChatClient, TelegramChatClient
from bots.sandbox.discord import DiscordStandIn
from bots.sandbox.model import SPEECH_MODEL, VISION_MODEL, ModelStandIn
from bots.sandbox.model_controls import model_commands
from bots.sandbox.shell import SandboxShell, ShellCommand
from bots.sandbox.telegram import TelegramStandIn
from core.errors import ConfigurationError, UnavailableError
from core.settings import config_file_keys, setting_variables
from core.settings.loading import CONFIG_FILE_VARIABLE

READY_TIMEOUT_SECONDS = 60.0
SHUTDOWN_TIMEOUT_SECONDS = 20.0
MAX_LOG_LINE_BYTES = 1_000_000
PERSONAS = '{"teacher": "Explain step by step.", "pirate": "You speak like a pirate."}'

SCRIPT_HELP = "Prompts of the scripted model: repeat: TEXT, long 9000, think, slow, cut, stall, empty, error 500"
WELCOME = """\
[bold]Parley's sandbox[/bold]: the real bots, connected to simulated platforms on this machine.
{answer_source}

Write as in a chat: text, or a command such as /help, /model, /models, /stop.
Commands of the sandbox itself:
"""


async def run_sandbox(*, model_api: str, platform: str, tokens_per_second: float) -> None:
    """Run until the input ends. Raises `ConfigurationError`, `UnavailableError`."""
    console = Console()
    async with contextlib.AsyncExitStack() as stack:
        telegram, discord = TelegramStandIn(), DiscordStandIn()
        for stand_in in (telegram, discord):
            await stand_in.start()
            stack.push_async_callback(stand_in.close)
        environment = {
            **telegram.environment(),
            **discord.environment(),
            "PARLEY_ACCESS": "open",
            "PARLEY_SECRET_KEY": secrets.token_hex(16),
            "PARLEY_LOG_LEVEL": "warning",
        }
        if "personas" not in _config_file_keys():
            environment["PARLEY_PERSONAS"] = PERSONAS
        commands: list[ShellCommand] = []
        answer_source = "The answers come from a script; nothing leaves this machine."
        if model_api == "real":
            if not os.environ.get("IOINTELLIGENCE_API_KEY"):
                raise ConfigurationError("--model-api real needs IOINTELLIGENCE_API_KEY")
            answer_source = "The answers come from the real API and use your quota."
        else:
            model = ModelStandIn(tokens_per_second=tokens_per_second)
            model.add_model(VISION_MODEL)
            model.add_model(SPEECH_MODEL)
            await model.start()
            stack.push_async_callback(model.close)
            environment |= model.environment()
            commands = model_commands(model)
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="parley-sandbox-"))
        environment["DATABASE_URL"] = f"sqlite:///{Path(folder) / 'parley.sqlite3'}"
        shell = SandboxShell(console, _create_clients(telegram, discord), f":{platform}", commands)
        await stack.enter_async_context(_bot_process(environment, console))
        with console.status("Starting the bots …"):
            await _wait_until_connected(telegram, discord)
        console.print(WELCOME.format(answer_source=answer_source), end="")
        console.print(shell.help())
        if commands:
            console.print(SCRIPT_HELP, style="dim")
        await shell.run()


def _create_clients(telegram: TelegramStandIn, discord: DiscordStandIn) -> dict[str, ChatClient]:
    telegram_user, discord_user = telegram.create_user("Ann"), discord.create_user("Ann")
    return {
        ":telegram": TelegramChatClient(telegram, telegram_user, is_group=False),
        ":group": TelegramChatClient(telegram, telegram_user, is_group=True),
        ":discord": DiscordChatClient(discord, discord_user, is_dm=False),
        ":dm": DiscordChatClient(discord, discord_user, is_dm=True),
    }


def _config_file_keys() -> set[str]:
    """The keys that the settings file sets. Raises `ConfigurationError`, also for what the sandbox cannot do."""
    keys = config_file_keys(SETTINGS_SECTIONS)
    if "telegram_webhook_url" in keys:
        raise ConfigurationError("telegram_webhook_url in the settings file: the simulated Telegram needs polling.")
    return keys


@contextlib.asynccontextmanager
async def _bot_process(environment: dict[str, str], console: Console) -> AsyncIterator[None]:
    """`parley run` as a process that ends with the sandbox. Its log lines appear on the console.

    Of the caller's settings, it uses those for the API and the settings file.
    """
    kept_prefixes = ("IOINTELLIGENCE_", CONFIG_FILE_VARIABLE)
    settings = {name for name in setting_variables(SETTINGS_SECTIONS) if not name.startswith(kept_prefixes)}
    inherited = {name: value for name, value in os.environ.items() if name not in settings}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bots.cli",
        "run",
        env={**inherited, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        limit=MAX_LOG_LINE_BYTES,
    )
    log_task = asyncio.create_task(_print_log(process.stderr, console))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            process.terminate()
        try:
            async with asyncio.timeout(SHUTDOWN_TIMEOUT_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        await log_task


async def _print_log(stream: asyncio.StreamReader | None, console: Console) -> None:
    """Print the log lines of `stream`, above a spinner if there is one, until the stream ends."""
    while stream is not None and (line := await stream.readline()):
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
