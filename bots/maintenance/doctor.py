"""`parley doctor`: checks the setup, from the settings to the platforms, and says what to do.

Nothing is changed: no database is created or migrated, no webhook is set, no tokens are spent.
"""

import asyncio
import os
from collections.abc import Awaitable, Iterable, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markup import escape

from bots.adapter_spec import AdapterSpec
from bots.adapters import ADAPTERS, SETTINGS_SECTIONS
from bots.trace_export import load_exporter
from core.diagnosis.database import MIN_FREE_BYTES, check_database
from core.diagnosis.files import check_all_private
from core.diagnosis.finding import Finding, Severity, error, ok, unavailable, warning
from core.diagnosis.model_service import check_model_service
from core.diagnosis.network import check_clock, check_proxies_answer
from core.errors import ConfigurationError, UnavailableError
from core.settings import LoadedSettings, SettingSource, find_misspelled_variables, load_settings
from core.store.database import Store
from core.timings import Timings

CHECK_TIMEOUT = 60.0
"""Seconds for each area."""
EXIT_CODES = {Severity.ERROR: ConfigurationError.exit_code, Severity.UNAVAILABLE: UnavailableError.exit_code}
STYLES = {Severity.OK: "green", Severity.WARNING: "yellow", Severity.UNAVAILABLE: "red", Severity.ERROR: "bold red"}
SEVERITY_WIDTH = max(map(len, Severity))
CHECK_WIDTH = len("discord.interactions")


async def diagnose(
    config_file: Path | None,
    *,
    specs: Sequence[AdapterSpec] = ADAPTERS,
    timings: Timings = Timings(),
    min_free_bytes: int = MIN_FREE_BYTES,
) -> list[Finding]:
    """All findings, in a fixed order. With settings that cannot be read, they are the only one."""
    try:
        settings = load_settings(SETTINGS_SECTIONS, config_file)
    except ConfigurationError as failure:
        return [Finding("settings", Severity.ERROR, str(failure))]  # the text says what to do
    base_url = settings.core.base_url
    store = Store(settings.core.database_url, timings=timings)
    try:
        areas = await asyncio.gather(
            _within_time("network", check_proxies_answer()),
            _within_time("machine", check_clock(base_url, timings)),
            _within_time("database", _check_core(settings, store, min_free_bytes, timings)),
            *(
                _within_time(spec.platform, spec.diagnose(settings.section(spec.section), store))
                for spec in specs
                if spec.diagnose is not None
            ),
        )
    finally:
        await store.close()
    return [*_check_settings(settings, specs), *(finding for area in areas for finding in area)]


async def _within_time(area: str, check: Awaitable[Sequence[Finding]]) -> Sequence[Finding]:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            return await check
    except TimeoutError:
        text = f"The checks took more than {CHECK_TIMEOUT:.0f} seconds."
        return [unavailable(area, text, "Check the network and try again.")]


async def _check_core(settings: LoadedSettings, store: Store, min_free_bytes: int, timings: Timings) -> list[Finding]:
    database = await check_database(settings.core, store, min_free_bytes=min_free_bytes, timings=timings)
    service = await check_model_service(settings.core, store, has_database=database.is_usable, timings=timings)
    return database.findings + service


def _check_settings(settings: LoadedSettings, specs: Sequence[AdapterSpec]) -> list[Finding]:
    findings = [
        warning("settings.variables", f"The variable {variable.name} is unknown.", f"Use {variable.suggestion}.")
        for variable in find_misspelled_variables(SETTINGS_SECTIONS)
    ]
    variables = [definition.variable for definition, value in settings.values() if value]
    enabled = [spec.platform for spec in specs if spec.enabled_by in variables]
    if enabled:
        findings.append(ok("settings.platforms", f"Enabled: {', '.join(enabled)}."))
    else:
        names = " or ".join(spec.enabled_by for spec in specs)
        findings.append(error("settings.platforms", "No platform is enabled.", f"Set {names}."))
    if settings.core.traces_url is not None:
        try:
            load_exporter()
        except ConfigurationError as failure:
            findings.append(Finding("settings.traces", Severity.ERROR, str(failure)))  # the text says what to do
    return findings + check_all_private("settings.files", _secret_files(settings), "secrets")


def _secret_files(settings: LoadedSettings) -> Iterable[Path]:
    """The files with secrets, and the settings file if it holds the password of a database."""
    for definition, _ in settings.values():
        if settings.sources[definition.key] is SettingSource.SECRET_FILE:
            yield Path(os.environ[f"{definition.variable}_FILE"].strip("\"' "))
    is_in_file = settings.sources["database_url"] is SettingSource.CONFIG_FILE
    if settings.config_file and is_in_file and "@" in settings.core.database_url:
        yield settings.config_file


def exit_code(findings: Iterable[Finding]) -> int:
    """0 without errors: warnings do not stop the bot."""
    severities = {finding.severity for finding in findings}
    return next((code for severity, code in EXIT_CODES.items() if severity in severities), 0)


def print_findings(findings: Sequence[Finding], console: Console) -> None:
    """One line each: the severity, the check, what it found and what to do."""
    for finding in findings:
        style = STYLES[finding.severity]
        label = f"[{style}]{finding.severity:{SEVERITY_WIDTH}}[/{style}]"
        text = escape(" ".join(f"{finding.text} {finding.advice}".split()))
        console.print(f"{label}  {finding.check:{CHECK_WIDTH}}  {text}", highlight=False, soft_wrap=True)


def print_json(findings: Sequence[Finding], console: Console) -> None:
    report = {"exit_code": exit_code(findings), "findings": findings}
    text = msgspec.json.format(msgspec.json.encode(report), indent=2).decode()
    console.print(text, markup=False, highlight=False, soft_wrap=True)
