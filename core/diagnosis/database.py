"""Checks the database: file and folder, schema, clock, who may use the bot, and stored API keys."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from core.diagnosis.files import check_privacy
from core.diagnosis.finding import Finding, error, ok, unavailable, warning
from core.errors import ConfigurationError, DamagedStoreError, StoreError
from core.settings import AccessMode, Settings
from core.store.database import Store
from core.store.dialect import read_clock
from core.store.grants import Role, roles_by_subject
from core.store.migrate import find_damage, newest_revision, read_revision
from core.store.personal_keys import list_encrypted_keys
from core.store.process_lock import find_lock_owner
from core.timings import Timings

MEBIBYTE = 1024 * 1024
MIN_FREE_BYTES = 500 * MEBIBYTE
MAX_CLOCK_DIFFERENCE = 5.0
"""Seconds between this machine's clock and a database server's."""


@dataclass(frozen=True, slots=True)
class DatabaseCheck:
    findings: list[Finding]
    is_usable: bool
    """Whether this version of Parley can read it."""


async def check_database(
    settings: Settings, store: Store, *, min_free_bytes: int = MIN_FREE_BYTES, timings: Timings = Timings()
) -> DatabaseCheck:
    """Changes nothing: no database is created or migrated."""
    findings: list[Finding] = []
    if store.is_embedded:
        findings += _check_folder(store.path, min_free_bytes)
        if not store.path.exists():
            findings.append(ok("database.schema", f"There is no database yet; `parley run` creates {store.path}."))
            return DatabaseCheck(findings, is_usable=False)
        findings += _check_file(store.path)
    try:
        schema = await _check_schema(store)
        if schema.is_usable:
            schema.findings.extend(await _check_content(settings, store, timings))
    except DamagedStoreError as failure:
        return DatabaseCheck([*findings, error("database.schema", str(failure), RESTORE_ADVICE)], is_usable=False)
    except StoreError as failure:
        advice = "Check DATABASE_URL, and that the database server runs and can be reached."
        if store.is_embedded:
            advice = "Check the permissions of the file and its folder, and the disk."
        return DatabaseCheck([*findings, unavailable("database.schema", str(failure), advice)], is_usable=False)
    return DatabaseCheck(findings + schema.findings, schema.is_usable)


RESTORE_ADVICE = "Stop Parley, move the file away, and fill a new database with `parley restore`."


def _check_folder(path: Path, min_free_bytes: int) -> list[Finding]:
    folder = path.parent
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK | os.X_OK):
        advice = "Let the user that runs Parley write it, or set DATABASE_URL to another path."
        return [error("database.folder", f"No permission to write the folder {folder}.", advice)]
    free = shutil.disk_usage(folder).free
    if free < min_free_bytes:
        text = f"Only {free // MEBIBYTE:,} MiB are free on the disk of {folder}."
        return [warning("database.disk", text, "Free space. A full disk stops the bot, and backups need space, too.")]
    return [ok("database.disk", f"{free // MEBIBYTE:,} MiB are free on the disk of {folder}.")]


def _check_file(path: Path) -> list[Finding]:
    findings = check_privacy("database.file", path, "conversations")
    for file in (path, Path(f"{path}-wal"), Path(f"{path}-shm")):
        if file.exists() and not os.access(file, os.R_OK | os.W_OK):
            advice = f"chown the file to the user that runs Parley: {file}"
            findings.append(error("database.file", f"No permission to read and write {file}.", advice))
    if (owner := find_lock_owner(path)) is not None:
        findings.append(ok("database.process", f"A running bot (PID {owner}) serves from the database."))
    return findings


async def _check_schema(store: Store) -> DatabaseCheck:
    try:
        revision = await store.read(read_revision)
    except ConfigurationError as failure:
        advice = "Install the version of Parley that wrote it, or restore a backup."
        finding, is_usable = error("database.schema", str(failure), advice), False
    else:
        finding, is_usable = await _check_revision(store, revision)
    return DatabaseCheck([finding], is_usable)


async def _check_revision(store: Store, revision: str | None) -> tuple[Finding, bool]:
    """Also returns whether this version of Parley can use the database."""
    if revision is None:
        return ok("database.schema", "The database is empty; `parley run` fills it."), False
    if revision != newest_revision():
        text = f"The database has schema version {revision}; this version of Parley needs {newest_revision()}."
        advice = "Stop the older processes and start `parley run`: it migrates the database."
        return warning("database.schema", text, advice), False
    if damage := await store.read(find_damage):
        return error("database.schema", f"The database is damaged: {damage}", RESTORE_ADVICE), False
    return ok("database.schema", f"Schema version {revision}, intact."), True


async def _check_content(settings: Settings, store: Store, timings: Timings) -> list[Finding]:
    findings: list[Finding] = []
    difference = await store.read(read_clock) - timings.clock.time()
    if not store.is_embedded and abs(difference) > MAX_CLOCK_DIFFERENCE:
        text = f"The database server's clock differs from this machine's by {abs(difference):,.0f} seconds."
        findings.append(warning("database.clock", text, "Synchronise both clocks with NTP."))
    roles = await store.read(roles_by_subject)
    if settings.access is AccessMode.PAIRING and not set(roles.values()) - {Role.BANNED}:
        advice = "`parley pair` creates a code: whoever sends it to the bot becomes the operator."
        findings.append(warning("access.operator", "Nobody may use the bot yet.", advice))
    return findings + await _check_personal_keys(settings, store)


async def _check_personal_keys(settings: Settings, store: Store) -> list[Finding]:
    keys = await store.read(list_encrypted_keys)
    if not keys:
        return []
    if settings.secret_key is None:
        text = f"PARLEY_SECRET_KEY is not set, so {len(keys)} stored personal API keys cannot be used."
        return [warning("settings.secret_key", text, "Set it to the text with which they were stored.")]
    from core.conversation.vault import open_vault

    vault = await open_vault(store, settings.secret_key.get_secret_value())
    unreadable = sum(vault.decrypt(encrypted, owner) is None for owner, encrypted in keys)
    if unreadable:
        text = f"{unreadable} of {len(keys)} stored personal API keys were encrypted with another PARLEY_SECRET_KEY."
        advice = "Set the earlier text again, or ask their owners to send /key again."
        return [warning("settings.secret_key", text, advice)]
    return [ok("settings.secret_key", f"{len(keys)} stored personal API keys can be read.")]
