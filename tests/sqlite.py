"""SQLite databases that are migrated already: most of the time to create one goes into migrations."""

import asyncio
import tempfile
import threading
from functools import cache
from pathlib import Path

from core.store.database import Store


def sqlite_url(folder: Path) -> str:
    """The URL of the database in `folder`, which is created if there is none."""
    path = folder / "parley.sqlite3"
    if not path.exists():
        path.touch(mode=0o600)
        path.write_bytes(_migrated_database())
    return f"sqlite:///{path}"


@cache
def _migrated_database() -> bytes:
    with tempfile.TemporaryDirectory(prefix="parley-sqlite-") as folder:
        path = Path(folder) / "template.sqlite3"
        migrate_in_thread(f"sqlite:///{path}")
        return path.read_bytes()


def migrate_in_thread(url: str) -> None:
    """Migrate a database. In a thread, because the caller's thread may run an event loop."""

    async def migrate() -> None:
        store = Store(url)
        await store.open()
        await store.close()

    thread = threading.Thread(target=asyncio.run, args=(migrate(),))
    thread.start()
    thread.join()
