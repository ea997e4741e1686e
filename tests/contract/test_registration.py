"""A platform touches its own folder, the list of adapters and the list of this suite; nothing else."""

import ast
import asyncio
from collections.abc import Iterator
from pathlib import Path

from bots.adapters import ADAPTERS, create_adapters
from bots.sandbox.model import ModelStandIn
from core.app import open_services, serve
from core.settings import Settings, parse_settings
from tests.contract import toy_platform
from tests.contract.platforms import PLATFORMS
from tests.contract.toy_platform import TOY, ToyAdapter, ToySettings
from tests.sqlite import sqlite_url
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
MIGRATIONS = ROOT / "core" / "store" / "migrations"


def names_and_texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The names and strings of a module with their lines, without docstrings."""
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str(text)) if id(node) not in docstrings:
                yield node.lineno, text
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name):
                yield node.lineno, name


def test_every_adapter_is_under_contract() -> None:
    assert {spec.platform for spec in ADAPTERS} <= {platform.name for platform in PLATFORMS}


def test_core_names_no_platform() -> None:
    platforms = [spec.platform for spec in ADAPTERS]
    mentions = [
        f"{path.relative_to(ROOT)}:{line}: {text}"
        for path in sorted((ROOT / "core").rglob("*.py"))
        if MIGRATIONS not in path.parents
        for line, text in names_and_texts(ast.parse(path.read_text()))
        if any(platform in text.lower() for platform in platforms)
    ]
    assert mentions == []


def test_toy_platform_has_under_100_lines() -> None:
    assert len(Path(toy_platform.__file__).read_text().splitlines()) < 100


async def test_new_platform_is_served(tmp_path: Path) -> None:
    model = ModelStandIn()
    await model.start()
    values = {
        "api_key": model.api_key,
        "base_url": model.base_url,
        "database_url": sqlite_url(tmp_path),
        "access": "open",
        "toy_account": "parley",
    }
    settings = parse_settings(values, (Settings, ToySettings))
    stop_requested = asyncio.Event()
    async with open_services(settings.core) as services, services.store.exclusive():
        [adapter] = create_adapters(settings, services, [TOY])
        assert isinstance(adapter, ToyAdapter)
        serving = asyncio.create_task(serve(services, [adapter], stop_requested))
        event = {"id": "e1", "kind": "prompt", "room": "ann", "user": "ann", "command": "", "message": "e1"}
        adapter.service.events.append({**event, "text": "repeat: hello Ann"})
        await wait_until(
            lambda: any(content.get("text") == "hello Ann" for content in adapter.service.resources.values())
        )
        stop_requested.set()
        await serving
    await model.close()
    assert adapter.service.events == []


def test_platform_without_its_setting_is_not_enabled() -> None:
    assert TOY.create(ToySettings(account=None), None) is None  # type: ignore[arg-type]
