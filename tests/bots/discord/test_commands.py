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


async def test_names_of_options_and_choices_are_translated(harness: AdapterHarness) -> None:
    await harness.start()
    await harness.commands_synced()
    locales = {locale for locales in LOCALES.values() for locale in locales}
    commands = {command["name"]: command for command in harness.discord.commands}
    options = [option for command in commands.values() for option in command.get("options", [])]
    assert all(option["name_localizations"].keys() == locales for option in options)
    for command in commands.values():
        for locale in locales:
            names = [option["name_localizations"][locale] for option in command.get("options", [])]
            assert len(set(names)) == len(names), (command["name"], locale)
    assert "name_localizations" not in commands["ask"], "the bot's messages call commands by their English names"
    _name, scope = commands["model"]["options"]
    assert scope["name_localizations"]["de"] == "bereich"
    assert {choice["value"]: choice["name_localizations"]["de"] for choice in scope["choices"]}["here"] == "hier"
    [language] = commands["language"]["options"]
    assert not any(choice["name_localizations"] for choice in language["choices"])
