"""`parley sandbox`: starts the stand-ins and the real bots, and opens the shell."""

import asyncio
import contextlib
import os
import secrets
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from rich.console import Console

from bots.adapters import SETTINGS_SECTIONS
from bots.sandbox.chat_clients import ChatClient, DiscordChatClient, TelegramChatClient
from bots.sandbox.discord import DiscordStandIn
from bots.sandbox.model import ModelStandIn
from bots.sandbox.model_controls import model_commands
from bots.sandbox.shell import SandboxShell, ShellCommand
from bots.sandbox.telegram import TelegramStandIn
from core.errors import ConfigurationError, UnavailableError
from core.settings import setting_variables

READY_TIMEOUT_SECONDS = 60.0
SHUTDOWN_TIMEOUT_SECONDS = 20.0
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
            "PARLEY_PERSONAS": PERSONAS,
            "PARLEY_LOG_LEVEL": "warning",
        }
        commands: list[ShellCommand] = []
        answer_source = "The answers come from a script; nothing leaves this machine."
        if model_api == "real":
            if not os.environ.get("IOINTELLIGENCE_API_KEY"):
                raise ConfigurationError("--model-api real needs IOINTELLIGENCE_API_KEY")
            answer_source = "The answers come from the real API and use your quota."
        else:
            model = ModelStandIn(tokens_per_second=tokens_per_second)
            await model.start()
            stack.push_async_callback(model.close)
            environment |= model.environment()
            commands = model_commands(model)
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="parley-sandbox-"))
        environment["DATABASE_URL"] = f"sqlite:///{Path(folder) / 'parley.sqlite3'}"
        shell = SandboxShell(console, _create_clients(telegram, discord), f":{platform}", commands)
        await stack.enter_async_context(_bot_process(environment))
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


@contextlib.asynccontextmanager
async def _bot_process(environment: dict[str, str]) -> AsyncIterator[None]:
    """`parley run` as a process that ends with the sandbox. It ignores the caller's settings, except the API's."""
    settings = {name for name in setting_variables(SETTINGS_SECTIONS) if not name.startswith("IOINTELLIGENCE_")}
    inherited = {name: value for name, value in os.environ.items() if name not in settings}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bots.cli", "run", env={**inherited, **environment}, stdin=asyncio.subprocess.DEVNULL
    )
    try:
        yield
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(SHUTDOWN_TIMEOUT_SECONDS):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


async def _wait_until_connected(telegram: TelegramStandIn, discord: DiscordStandIn) -> None:
    try:
        await telegram.wait_for(lambda: telegram.calls_to("getUpdates"), READY_TIMEOUT_SECONDS)
        await discord.wait_until_ready(READY_TIMEOUT_SECONDS)
    except TimeoutError:
        raise UnavailableError(
            f"The bots did not start within {READY_TIMEOUT_SECONDS:.0f} seconds. Look for errors above. "
            "If there are none, the machine may be too busy: try again."
        ) from None
