"""The platforms under the contract suite. To add one, add its harness to `PLATFORMS`."""

from tests.contract.harness import PlatformHarness
from tests.contract.platforms.discord import DiscordHarness
from tests.contract.platforms.telegram import TelegramHarness
from tests.contract.platforms.terminal import TerminalHarness
from tests.contract.platforms.toy import ToyHarness

__all__ = ["PLATFORMS"]

PLATFORMS: tuple[type[PlatformHarness], ...] = (ToyHarness, TelegramHarness, DiscordHarness, TerminalHarness)
