"""The bot that most people write first: discord.py and openai. discord.py waits for rate limits by itself."""

import os

import discord
import yarl
from discord.gateway import DiscordWebSocket
from discord.http import Route

from tests.benchmarks.answers.naive_answers import answer

MAX_CHARS = 1900


class NaiveBot(discord.Client):
    async def on_message(self, question: discord.Message) -> None:
        if question.author.bot or self.user not in question.mentions:
            return
        sent: list[tuple[discord.Message, str]] = []

        async def show(text: str) -> None:
            for index, start in enumerate(range(0, len(text), MAX_CHARS)):
                part = text[start : start + MAX_CHARS]
                if index == len(sent):
                    sent.append((await question.reply(part), part))
                elif sent[index][1] != part:
                    sent[index] = (await sent[index][0].edit(content=part), part)

        await answer(question.content, show)


if __name__ == "__main__":
    Route.BASE = os.environ["DISCORD_API_BASE"]
    DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(os.environ["DISCORD_GATEWAY_URL"])
    intents = discord.Intents.default()
    intents.message_content = True
    NaiveBot(intents=intents).run(os.environ["DISCORD_BOT_TOKEN"])
