"""`parley sandbox`: the stand-ins, the real bots against them, and a client in the terminal."""

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
from bots.sandbox.discord import DiscordStandIn
from bots.sandbox.model import ModelStandIn
from bots.sandbox.model_controls import HELP, ModelControls
from bots.sandbox.shell import ChatClient, DiscordChatClient, SandboxShell, TelegramChatClient
from bots.sandbox.telegram import TelegramStandIn
from core.errors import ConfigurationError, UnavailableError
from core.settings import setting_variables

__all__ = ["run_sandbox"]

READY_TIMEOUT_SECONDS = 30.0  # seconds for the bots to connect
PERSONAS = '{"teacher": "Explain step by step.", "pirate": "You speak like a pirate."}'
SHUTDOWN_TIMEOUT_SECONDS = 20.0  # seconds for them to end

SCRIPT_HELP = """\
The scripted model knows: repeat: WORDS, long 9000, think, slow, cut, stall, empty, error 500"""
WELCOME = """\
[bold]Parley's sandbox[/bold]: no account on Telegram or Discord, whose stand-ins run on this
machine; the bots are the real ones. {model}

Write as a person would: text, or a command such as /help, /model, /models, /stop.
[dim]:telegram :group :discord :dm  change the client    :press LABEL  press a button
:file PATH WORDS  send a file and say something to it    :quit
WORDS &  do not wait for the answer: /stop can end it[/dim]
{controls}"""


async def run_sandbox(*, model_api: str, platform: str, tokens_per_second: float) -> None:
    """Run until the input ends. Raises `ConfigurationError`, `UnavailableError`."""
    console = Console()
    async with contextlib.AsyncExitStack() as stack:
        telegram, discord = TelegramStandIn(), DiscordStandIn()
        for stand_in in (telegram, discord):
            await stand_in.start()
            stack.push_async_callback(stand_in.close)
        environment = {
            "TELEGRAM_BOT_TOKEN": telegram.token,
            "TELEGRAM_API_BASE": telegram.api_base,
            "DISCORD_BOT_TOKEN": discord.token,
            "DISCORD_API_BASE": discord.api_base,
            "DISCORD_GATEWAY_URL": discord.gateway_url,
            "PARLEY_ACCESS": "open",
            "PARLEY_SECRET_KEY": secrets.token_hex(16),
            "PARLEY_PERSONAS": PERSONAS,
            "PARLEY_LOG_LEVEL": "warning",
        }
        controls: ModelControls | None = None
        answer_source = "Answers come from a script, not from a model; nothing leaves this machine."
        if model_api == "real":
            if not os.environ.get("IOINTELLIGENCE_API_KEY"):
                raise ConfigurationError("--model-api real needs IOINTELLIGENCE_API_KEY")
            answer_source = "Answers come from the real API, on your quota."
        else:
            model = ModelStandIn(tokens_per_second=tokens_per_second)
            await model.start()
            stack.push_async_callback(model.close)
            environment["IOINTELLIGENCE_BASE_URL"] = model.base_url
            environment["IOINTELLIGENCE_API_KEY"] = model.api_key
            controls = ModelControls(model)
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="parley-sandbox-"))
        environment["DATABASE_URL"] = f"sqlite:///{Path(folder) / 'parley.sqlite3'}"
        telegram_ann, discord_ann = telegram.create_user("Ann"), discord.create_user("Ann")
        sides: dict[str, ChatClient] = {
            ":telegram": TelegramChatClient(telegram, telegram_ann, is_group=False),
            ":group": TelegramChatClient(telegram, telegram_ann, is_group=True),
            ":discord": DiscordChatClient(discord, discord_ann, is_dm=False),
            ":dm": DiscordChatClient(discord, discord_ann, is_dm=True),
        }
        await stack.enter_async_context(_bot_process(environment))
        with console.status("Starting the bots …"):
            await _wait_until_connected(telegram, discord)
        asked = f"[dim]{HELP}\n{SCRIPT_HELP}[/dim]\n" if controls is not None else ""
        console.print(WELCOME.format(model=answer_source, controls=asked))
        await SandboxShell(console, sides, f":{platform}", controls).run()


@contextlib.asynccontextmanager
async def _bot_process(environment: dict[str, str]) -> AsyncIterator[None]:
    """`parley run` as a process of its own, ended with the sandbox."""
    settings = {name for name in setting_variables(SETTINGS_SECTIONS) if not name.startswith("IOINTELLIGENCE_")}
    inherited = {name: value for name, value in os.environ.items() if name not in settings}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "bots.cli",
        "run",
        env={**inherited, **environment},
        stdin=asyncio.subprocess.DEVNULL,
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
    def polled() -> bool:
        return any(call.method.lower() == "getupdates" for call in telegram.calls)

    try:
        await telegram.wait_for(polled, READY_TIMEOUT_SECONDS)
        await discord.wait_until_ready(READY_TIMEOUT_SECONDS)
    except TimeoutError:
        raise UnavailableError("The bots did not start; see the lines above.") from None
