"""The list of platforms. To add a platform, add its spec to `ADAPTERS`."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bots.adapter_spec import AdapterSpec
from bots.discord.spec import DISCORD
from bots.telegram.spec import TELEGRAM
from core.errors import ConfigurationError
from core.settings import LoadedSettings, Settings, SettingsSection

if TYPE_CHECKING:
    from core.port import Adapter
    from core.services import Services

ADAPTERS = (TELEGRAM, DISCORD)
SETTINGS_SECTIONS: tuple[type[SettingsSection], ...] = (Settings, *(spec.section for spec in ADAPTERS))


def create_adapters(
    settings: LoadedSettings, services: "Services", specs: Sequence[AdapterSpec] = ADAPTERS
) -> "list[Adapter]":
    """The adapters of all enabled platforms. Raises `ConfigurationError` if there are none."""
    created = (spec.create(settings.section(spec.section), services) for spec in specs)
    adapters = [adapter for adapter in created if adapter is not None]
    if not adapters:
        raise ConfigurationError(
            f"No platform is enabled: set {' or '.join(spec.enabled_by for spec in specs)}. "
            "Without an account, try `parley chat` (in this terminal) or `parley sandbox`."
        )
    return adapters
