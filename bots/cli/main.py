"""The `parley` command.

Exit codes: 0 success, 1 a defect, 2 wrong usage, 69 a service is unavailable (restarting may help),
78 a configuration error or a damaged database (restarting does not help), 130 interrupted (Ctrl+C).
"""

import asyncio
import gc
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

import structlog
import typer
from rich.console import Console

from bots import logging_setup
from bots.adapters import SETTINGS_SECTIONS
from bots.cli import access_commands, data_commands
from bots.cli.common import ConfigFile, closing_store, create_console, load, print_pairing_code, print_to_stderr
from bots.tables import print_settings
from core.errors import ConfigurationError, UnavailableError
from core.settings import find_misspelled_variables

CONFIGURATION_ERROR_CODE = ConfigurationError.exit_code
INTERRUPTED_CODE = 130
"""What typer makes of Ctrl+C."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="Chat with IO Intelligence's open models in Telegram, Discord and the terminal.",
)
config_app = typer.Typer(no_args_is_help=True, help="Inspect the settings.")
app.add_typer(config_app, name="config")


def _print_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        create_console().print(f"parley {version('parley')}", highlight=False)
        raise typer.Exit


@app.callback()
def global_options(
    *,
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options of every command."""


@app.command()
def run(
    config_file: ConfigFile = None,
    *,
    wait_after_configuration_error: Annotated[
        bool,
        typer.Option(
            "--wait-after-configuration-error",
            help="After a configuration error, wait for SIGTERM before exiting. For supervisors that restart whatever "
            "the exit status.",
        ),
    ] = False,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Processes to run, about one for each core. Needs PostgreSQL.")
    ] = 1,
) -> None:
    """Run the bot on every enabled platform until it is stopped (Ctrl+C or SIGTERM)."""
    from bots.run import create_stop_event

    async def report_and_wait(error: ConfigurationError | UnavailableError) -> None:
        stop_requested = create_stop_event()
        _print_error(error)
        await stop_requested.wait()

    try:
        if workers > 1:
            _run_workers(workers, config_file)
        else:
            _run_bot(config_file)
    except (ConfigurationError, UnavailableError, ExceptionGroup) as error:
        expected = _expected_error(error)
        if expected is None or not (wait_after_configuration_error and expected.exit_code == CONFIGURATION_ERROR_CODE):
            raise
        asyncio.run(report_and_wait(expected))
        raise typer.Exit(expected.exit_code) from None


def _run_bot(config_file: Path | None) -> None:
    gc.disable()  # until the bot serves: searching what imports create takes a quarter of the start and finds nothing
    from bots.run import run_bot

    settings = load(config_file)
    logging_setup.configure(settings.core.log_level)
    for variable in find_misspelled_variables(SETTINGS_SECTIONS):
        structlog.get_logger(__name__).warning(
            "settings.unknown_variable", name=variable.name, suggestion=variable.suggestion
        )
    with asyncio.Runner(loop_factory=event_loop_factory()) as runner:
        runner.run(run_bot(settings, show_pairing_code=print_pairing_code))


def _run_workers(count: int, config_file: Path | None) -> None:
    from bots.workers import run_workers

    settings = load(config_file)
    if settings.core.database_url.startswith("sqlite:"):
        raise ConfigurationError(
            "--workers needs PostgreSQL: with SQLite, only one process can serve. Set DATABASE_URL=postgresql://..."
        )
    logging_setup.configure(settings.core.log_level)
    options = ["--config", str(config_file)] if config_file else []
    if exit_code := asyncio.run(run_workers(count, options)):
        raise typer.Exit(exit_code)


def event_loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The event loop of uvloop, where it is installed: it needs less processor time than the one of Python."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


@app.command()
def chat(
    config_file: ConfigFile = None,
    model: Annotated[str, typer.Option(help="Model to use. Part of its name is enough.")] = "",
) -> None:
    """Chat with a model in this terminal."""
    from bots.terminal.run import UnknownModelError, run_terminal_chat

    settings = load(config_file)
    logging_setup.configure("error")
    try:
        asyncio.run(run_terminal_chat(settings.core, model))
    except UnknownModelError as error:
        raise typer.BadParameter(str(error), param_hint="--model") from error


@app.command()
def models(
    config_file: ConfigFile = None,
    search: Annotated[str, typer.Option(help="List only models whose names contain this.")] = "",
    *,
    forget_facts: Annotated[
        bool,
        typer.Option(
            "--forget-facts",
            help="First forget what was learned about the listed models, such as smaller windows.",
        ),
    ] = False,
    reset_pauses: Annotated[
        bool, typer.Option("--reset-pauses", help="First end the pauses of the listed models that kept failing.")
    ] = False,
) -> None:
    """List the models, their quotas, which are paused, and what was learned about them."""
    from bots.terminal.list_models import list_models

    settings = load(config_file)
    logging_setup.configure("error")
    asyncio.run(
        list_models(
            settings.core,
            search,
            create_console(),
            Console(stderr=True),
            forgets_facts=forget_facts,
            ends_pauses=reset_pauses,
        )
    )


@app.command()
def doctor(
    config_file: ConfigFile = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check the settings, the database, the model service, the platforms and this machine. Changes nothing.

    Exits with 0 if nothing keeps the bot from working (warnings do not), 78 if something must be changed, and 69 if a
    service does not answer.
    """
    from bots.maintenance.doctor import diagnose, exit_code, print_findings, print_json

    logging_setup.configure("error")
    findings = asyncio.run(diagnose(config_file))
    (print_json if as_json else print_findings)(findings, create_console())
    if code := exit_code(findings):
        raise typer.Exit(code)


@app.command()
def top(
    config_file: ConfigFile = None,
    *,
    interval: Annotated[float, typer.Option(min=0.2, max=60, help="Seconds between two views.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print one view and exit. Default without a terminal.")] = False,
) -> None:
    """Show what the bot is doing, live: turns, platforms that make it wait, quotas, paused models and failures.

    Reads the database only, so it works for all processes of a bot. Ctrl+C ends it.
    """
    from bots.maintenance.top import show_top
    from core.clock import SystemClock

    async def show() -> None:
        settings = load(config_file).core
        console = create_console()
        async with closing_store(config_file) as store:
            is_single = once or not console.is_terminal
            await show_top(store, settings, console, interval=interval, once=is_single, clock=SystemClock())

    logging_setup.configure("error")
    asyncio.run(show())


@app.command()
def sandbox(
    model_api: Annotated[
        Literal["scripted", "real"], typer.Option(help="Who answers: a script, or the real API with your key.")
    ] = "scripted",
    platform: Annotated[
        Literal["telegram", "discord"], typer.Option(help="Chat to start with in the terminal.")
    ] = "telegram",
    speed: Annotated[float, typer.Option(help="Tokens per second.", min=1, max=1000)] = 40.0,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page on 127.0.0.1. 0: any free port.")] = 0,
    *,
    terminal: Annotated[
        bool, typer.Option("--terminal", help="Chat in this terminal. Default where no browser can be opened.")
    ] = False,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Serve the page and print its address, but open no browser.")
    ] = False,
) -> None:
    """Try Parley without an account: the real bots, connected to simulated services.

    Opens a page with a client for each platform, and a view of what happens inside.
    """
    from bots.sandbox.run import SandboxClient, SandboxOptions, run_sandbox

    if terminal and no_browser:
        raise typer.BadParameter("It cannot be used with --no-browser.", param_hint="--terminal")
    client = SandboxClient.AUTOMATIC
    if terminal or no_browser:
        client = SandboxClient.TERMINAL if terminal else SandboxClient.PAGE
    options = SandboxOptions(
        model_api=model_api,
        tokens_per_second=speed,
        client=client,
        platform=platform,
        port=port,
        opens_browser=not no_browser,
    )
    logging_setup.configure("error")
    asyncio.run(run_sandbox(options))


app.add_typer(data_commands.app)
app.add_typer(access_commands.app)


@config_app.command("show")
def config_show(config_file: ConfigFile = None) -> None:
    """Show every setting, its value and its source. Secrets appear only as set or not set."""
    from core.api.model_data import BUILTIN_MODELS
    from core.conversation.unknown_models import find_unknown_models

    for variable in find_misspelled_variables(SETTINGS_SECTIONS):
        print_to_stderr(f"parley: unknown variable {variable.name}. Did you mean {variable.suggestion}?")
    settings = load(config_file)
    print_settings(settings, create_console())
    known_models = BUILTIN_MODELS if settings.core.uses_io_intelligence else {}
    for unknown in find_unknown_models(settings.core, known_models, known_models):
        if unknown.suggestions:  # other names may be models that only the service lists
            print_to_stderr(f"parley: {unknown} `parley models` lists the models.")


def main() -> None:
    """Run the command line. Expected errors become one line of text and an exit code."""
    try:
        app()
    except SystemExit as error:
        if error.code == INTERRUPTED_CODE:
            print_to_stderr("parley: interrupted")
        raise
    except (ConfigurationError, UnavailableError, ExceptionGroup) as error:
        expected = _expected_error(error)
        if expected is None:
            raise
        _print_error(expected)
        sys.exit(expected.exit_code)


def _expected_error(error: BaseException) -> ConfigurationError | UnavailableError | None:
    """`error`, or the first of a group, if it is one that a user can understand and act on."""
    while isinstance(error, BaseExceptionGroup):
        error = (error.subgroup((ConfigurationError, UnavailableError)) or error).exceptions[0]
    return error if isinstance(error, ConfigurationError | UnavailableError) else None


def _print_error(error: ConfigurationError | UnavailableError) -> None:
    print_to_stderr(f"parley: {error}", style="red")
