"""The commands as Discord shows them, in all languages."""

from bots.discord.commands import LOCALES
from tests.bots.discord.conftest import AdapterHarness


async def test_discord_accepts_all_commands_in_all_languages(harness: AdapterHarness) -> None:
    """The stand-in checks names, lengths and that names are unique in each language."""
    await harness.start()
    await harness.commands_synced()
    locales = {locale for locales in LOCALES.values() for locale in locales}
    for command in harness.discord.commands:
        described = [command, *command.get("options", [])] if command["type"] == 1 else []
        texts = [each["description_localizations"] for each in described] or [command["name_localizations"]]
        assert all(text.keys() == locales for text in texts), command["name"]
