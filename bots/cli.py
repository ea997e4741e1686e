"""The `parley` command.

Exit codes: 0 success, 1 a defect, 2 wrong usage, 69 a service is unavailable (restarting may help),
78 a configuration error or a damaged database (restarting does not help), 130 interrupted (Ctrl+C).
"""

import asyncio
import gc
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import structlog
import typer
from rich.console import Console

from bots import logging_setup
from bots.adapters import ADAPTERS, SETTINGS_SECTIONS
from bots.tables import UNLIMITED_WIDTH, print_settings
from core.errors import ConfigurationError, UnavailableError
from core.settings import LoadedSettings, find_misspelled_variables, load_settings

CONFIGURATION_ERROR_CODE = ConfigurationError.exit_code
INTERRUPTED_CODE = 130
"""What typer makes of Ctrl+C."""

if TYPE_CHECKING:
    from core.store.database import Store

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
    help="Chat with IO Intelligence's open models in Telegram, Discord and the terminal.",
)
config_app = typer.Typer(no_args_is_help=True, help="Inspect the settings.")
app.add_typer(config_app, name="config")
access_app = typer.Typer(no_args_is_help=True, help="Inspect who may use the bot.")
app.add_typer(access_app, name="access")

ConfigFile = Annotated[
    Path | None,
    typer.Option("--config", help="Settings file. Default: PARLEY_CONFIG, or parley.toml in this folder if it exists."),
]


def _console() -> Console:
    """Standard output. Lines wrap only on a terminal."""
    return Console(width=None if sys.stdout.isatty() else UNLIMITED_WIDTH)


def _print_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        _console().print(f"parley {version('parley')}", highlight=False)
        raise typer.Exit


@app.callback()
def global_options(
    *,
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Options of every command."""


def _load(config_file: Path | None) -> LoadedSettings:
    return load_settings(SETTINGS_SECTIONS, config_file)


@app.command()
def run(
    config_file: ConfigFile = None,
    *,
    wait_after_configuration_error: Annotated[
        bool,
        typer.Option(
            "--wait-after-configuration-error",
            help="After a configuration error, wait for SIGTERM before exiting. For supervisors that restart whatever "
            "the exit code.",
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

    settings = _load(config_file)
    logging_setup.configure(settings.core.log_level)
    for variable in find_misspelled_variables(SETTINGS_SECTIONS):
        structlog.get_logger(__name__).warning(
            "settings.unknown_variable", name=variable.name, suggestion=variable.suggestion
        )
    with asyncio.Runner(loop_factory=event_loop_factory()) as runner:
        runner.run(run_bot(settings, show_pairing_code=_print_pairing_code))


def _run_workers(count: int, config_file: Path | None) -> None:
    from bots.workers import run_workers

    settings = _load(config_file)
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


def _print_pairing_code(code: str) -> None:
    _print_to_stderr(f"To become the bot's operator, send it /start {code} in a private chat within an hour.")


@app.command()
def chat(
    config_file: ConfigFile = None,
    model: Annotated[str, typer.Option(help="Model to use. Part of its name is enough.")] = "",
) -> None:
    """Chat with a model in this terminal."""
    from bots.terminal.run import UnknownModelError, run_terminal_chat

    settings = _load(config_file)
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
            help="First forget what the service has taught about the listed models, such as smaller windows.",
        ),
    ] = False,
    reset_pauses: Annotated[
        bool, typer.Option("--reset-pauses", help="First end the pauses of the listed models that kept failing.")
    ] = False,
) -> None:
    """List the models, their quotas, which are paused, and what the service has taught about them."""
    from bots.terminal.list_models import list_models

    settings = _load(config_file)
    logging_setup.configure("error")
    asyncio.run(
        list_models(
            settings.core,
            search,
            _console(),
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
    (print_json if as_json else print_findings)(findings, _console())
    if code := exit_code(findings):
        raise typer.Exit(code)


@app.command()
def top(
    config_file: ConfigFile = None,
    *,
    interval: Annotated[float, typer.Option(min=0.2, max=60, help="Seconds between two views.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Print one view and exit, as without a terminal.")] = False,
) -> None:
    """Show live what the bot does: turns, platforms that make it wait, quotas, paused models and failures.

    Reads the database only, so it works for all processes of a bot. Ctrl+C ends it.
    """
    from bots.maintenance.top import show_top
    from core.clock import SystemClock

    async def show() -> None:
        settings = _load(config_file).core
        console = _console()
        async with _closing_store(config_file) as store:
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
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the page on 127.0.0.1. 0: any.")] = 0,
    *,
    terminal: Annotated[
        bool, typer.Option("--terminal", help="Chat in this terminal. Default where no browser can be opened.")
    ] = False,
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Serve the page and print its address, but open no browser.")
    ] = False,
) -> None:
    """Try the whole product without an account: the real bots, connected to simulated services.

    Opens a page with a client for each platform, and a view of what happens inside.
    """
    from bots.sandbox.run import SandboxClient, SandboxOptions, run_sandbox

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


@asynccontextmanager
async def _closing_store(config_file: Path | None) -> "AsyncIterator[Store]":
    from core.store.database import Store

    store = Store(_load(config_file).core.database_url)
    try:
        yield store
    finally:
        await store.close()


@asynccontextmanager
async def _open_store(config_file: Path | None) -> "AsyncIterator[Store]":
    async with _closing_store(config_file) as store:
        await store.open(migrates=False)
        yield store


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="File to write. It must not exist.")], config_file: ConfigFile = None
) -> None:
    """Copy the database to a file, also while the bot runs, and check the copy.

    The file can be restored to SQLite and to PostgreSQL.
    """
    from core.backup import back_up

    async def copy() -> None:
        async with _closing_store(config_file) as store:
            manifest = await back_up(store, file)
        _console().print(f"{file}: {manifest.row_count:,} rows of {len(manifest.tables)} tables, checked.")

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
        async with _closing_store(config_file) as store:
            manifest = await restore_database(store, file, replaces=force)
        _console().print(f"Restored {manifest.row_count:,} rows of {manifest.created_at}.", highlight=False)

    asyncio.run(fill())


def _check_person(subject: str) -> str:
    from core.scopes import person_key_of_subject

    if person_key_of_subject(_check_subject(subject)) is None:
        raise typer.BadParameter(f'"{subject}" is no person.')
    return subject


PersonArgument = Annotated[
    str, typer.Argument(help="Such as telegram:person:ID or discord:person:ID.", callback=_check_person)
]


@app.command("export")
def export_data(person: PersonArgument, config_file: ConfigFile = None) -> None:
    """Print everything that is stored about a person, as JSON."""
    from core.personal_data import export_subject

    async def show() -> None:
        async with _open_store(config_file) as store:
            sys.stdout.buffer.write(await export_subject(store, person) + b"\n")

    asyncio.run(show())


@app.command()
def forget(
    person: PersonArgument,
    config_file: ConfigFile = None,
    *,
    log: Annotated[
        list[Path] | None,
        typer.Option(
            "--log", help="Log file in which lines that name the person are blanked. May be given repeatedly."
        ),
    ] = None,
) -> None:
    """Erase everything that is stored about a person, also while the bot runs. There is no way back.

    In shared conversations, their questions, the answers to them, and their notes and files are erased. They lose the
    permission to use the bot; a ban stays. Earlier backups still contain the person.
    """
    from core.log_files import blank_lines
    from core.personal_data import erase_subject, find_copies

    async def erase() -> None:
        settings = _load(config_file).core
        async with _open_store(config_file) as store:
            erased = await erase_subject(store, settings, person)
            copies = find_copies(store)
        console = _console()
        console.print(
            f"Erased {erased.messages:,} messages and {erased.entries:,} notes and files of {person}.", highlight=False
        )
        if erased.is_banned:
            console.print(f"The ban stays. Lift it with: parley ban {person} --remove", highlight=False)
        for path in log or []:
            console.print(f"{path}: {blank_lines(path, person):,} lines blanked.", highlight=False)
        for path in copies:
            console.print(f"This copy from before an update still contains the person: {path}", highlight=False)

    asyncio.run(erase())


@app.command()
def pair(config_file: ConfigFile = None) -> None:
    """Create a pairing code. Whoever sends it to the bot becomes an operator."""
    from core.turns.access_control import create_pairing_code

    async def create() -> None:
        async with _open_store(config_file) as store:
            _print_pairing_code(await create_pairing_code(store))

    asyncio.run(create())


def _check_subject(subject: str) -> str:
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


@app.command()
def allow(
    subject: Annotated[
        str,
        typer.Argument(
            help="Such as telegram:person:ID, telegram:chat:ID, discord:server:ID or discord:role:ID.",
            callback=_check_subject,
        ),
    ],
    config_file: ConfigFile = None,
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Revoke the permission instead.")] = False,
) -> None:
    """Allow a person, a chat, a server or a role to use the bot."""
    from core.store.grants import Role, add_member, revoke

    async def change() -> None:
        async with _open_store(config_file) as store:
            if not remove:
                role = await store.write(add_member, subject)
                if role is Role.BANNED:
                    _console().print(f"{subject} is banned. Lift the ban first: parley ban {subject} --remove")
                elif role is Role.OPERATOR:
                    _console().print(
                        f"{subject} is an operator of the bot already and stays one. To take that right away, "
                        "revoke the permission with --remove first."
                    )
                else:
                    _console().print(f"{subject} can now use the bot.")
            elif await store.write(revoke, subject):
                _console().print(f"{subject} can no longer use the bot.")
            else:
                _console().print(f"{subject} had no permission to revoke.")

    asyncio.run(change())


@app.command()
def ban(
    subject: Annotated[
        str,
        typer.Argument(
            help="Such as telegram:person:ID, discord:server:ID or discord:role:ID.", callback=_check_subject
        ),
    ],
    config_file: ConfigFile = None,
    *,
    remove: Annotated[bool, typer.Option("--remove", help="Lift the ban instead.")] = False,
) -> None:
    """Ban a person, a chat, a server or a role. They get nothing from the bot, not even a refusal."""
    from core.store.grants import Role, lift_ban
    from core.store.grants import ban as ban_subject

    async def change() -> None:
        async with _open_store(config_file) as store:
            if not remove:
                if await store.write(ban_subject, subject) is Role.OPERATOR:
                    _console().print(
                        f"{subject} is an operator of the bot. Revoke that permission first: "
                        f"parley allow {subject} --remove"
                    )
                else:
                    _console().print(f"{subject} is banned. The bot no longer reacts to them.")
            elif await store.write(lift_ban, subject):
                _console().print(f"{subject} is no longer banned.")
            else:
                _console().print(f"{subject} was not banned.")

    asyncio.run(change())


@access_app.command("list")
def access_list(config_file: ConfigFile = None) -> None:
    """List who may use the bot, and who is banned: people, chats, servers and roles."""
    from bots.tables import print_grants
    from core.store.grants import list_grants

    async def show() -> None:
        settings = _load(config_file).core
        async with _open_store(config_file) as store:
            print_grants(await store.read(list_grants), settings.access, _console())

    asyncio.run(show())


@config_app.command("show")
def config_show(config_file: ConfigFile = None) -> None:
    """Show every setting, its value and its source. Secrets appear only as set or not set."""
    from core.api.model_data import BUILTIN_MODELS
    from core.conversation.unknown_models import find_unknown_models

    for variable in find_misspelled_variables(SETTINGS_SECTIONS):
        _print_to_stderr(f"parley: unknown variable {variable.name}. Did you mean {variable.suggestion}?")
    settings = _load(config_file)
    print_settings(settings, _console())
    known_models = BUILTIN_MODELS if settings.core.uses_io_intelligence else {}
    for unknown in find_unknown_models(settings.core, known_models, known_models):
        if unknown.suggestions:  # other names may be models that only the service lists
            _print_to_stderr(f"parley: {unknown} `parley models` lists the models.")


def _print_to_stderr(text: str, style: str = "") -> None:
    """Print without markup or wrapping, so that each log message is one line."""
    Console(stderr=True).print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def main() -> None:
    """Run the command line. Expected errors become one line of text and an exit code."""
    try:
        app()
    except SystemExit as error:
        if error.code == INTERRUPTED_CODE:
            _print_to_stderr("parley: interrupted")
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
    _print_to_stderr(f"parley: {error}", style="red")


if __name__ == "__main__":
    main()
