"""What the bot needs to know about a platform before it connects. `bots.adapters` lists all of them."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from core.settings import SettingsSection

if TYPE_CHECKING:
    from core.diagnosis.finding import Finding
    from core.port import Adapter
    from core.services import Services
    from core.store.database import Store


@dataclass(frozen=True, slots=True)
class AdapterSpec:
    """One platform. Its modules stay unimported until `create` is called: the libraries load slowly."""

    platform: str
    section: type[SettingsSection]
    enabled_by: str
    """The environment variable that enables the platform."""
    access_subjects: Mapping[str, str]
    """What `parley allow` accepts: a pattern of IDs by kind (`core.scopes.ScopeKind`)."""
    create: "Callable[[Any, Services], Adapter | None]"
    """Takes the adapter's section. Returns None when the platform is not enabled."""
    diagnose: "Callable[[Any, Store], Awaitable[Sequence[Finding]]] | None" = None
    """Checks for `parley doctor`. Takes the adapter's section and the database, which need not exist or answer; no
    findings when the platform is not enabled.
    """
