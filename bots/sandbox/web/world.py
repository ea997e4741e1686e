"""The people, chats and servers of the sandbox: a small world that is always the same."""

from dataclasses import dataclass, field

from bots.sandbox.discord import DiscordStandIn
from bots.sandbox.discord import User as DiscordUser
from bots.sandbox.telegram import TelegramStandIn
from bots.sandbox.telegram import User as TelegramUser

PEOPLE = (("Ann", "en"), ("Ben", "de"), ("Chloé", "fr"))
"""Names and languages."""
TOPICS = ("Ideas", "Questions")
CHANNELS = ("general", "help")
DISCORD_LOCALES = {"en": "en-GB", "de": "de", "fr": "fr"}


@dataclass(frozen=True, slots=True)
class World:
    """Created in the stand-ins, before the bot connects."""

    telegram: TelegramStandIn
    discord: DiscordStandIn
    telegram_people: list[TelegramUser] = field(default_factory=list)
    discord_people: list[DiscordUser] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.telegram.privacy_mode = False  # so that it receives mentions in groups
        telegram_people, discord_people = self.telegram_people, self.discord_people
        telegram_people += [
            self.telegram.create_user(name, language=language, username=name.lower()) for name, language in PEOPLE
        ]
        discord_people += [self.discord.create_user(name) for name, _ in PEOPLE]
        for person, (_, language) in zip(discord_people, PEOPLE, strict=True):
            person.locale = DISCORD_LOCALES[language]
        for user in telegram_people:
            self.telegram.open_private_chat(user)
        self.telegram.create_supergroup("Book club", *telegram_people)
        forum = self.telegram.create_forum("Workshop", *telegram_people)
        for topic in TOPICS:
            self.telegram.create_topic(forum, topic)
        server = self.discord.create_guild("Sandbox server", *discord_people)
        for channel in CHANNELS:
            self.discord.create_channel(server, channel)
        self.discord.create_channel(self.discord.create_guild("Friends", *discord_people[:2]), "lounge")
        for person in discord_people:
            self.discord.open_dm(person)
