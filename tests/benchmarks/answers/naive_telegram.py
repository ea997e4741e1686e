"""The bot that most people write first: python-telegram-bot and openai. It ignores rate limits."""

import os
import sys
from typing import Any

from telegram import Message, Update
from telegram.error import TelegramError
from telegram.ext import ApplicationBuilder, MessageHandler, filters

from tests.benchmarks.answers.naive_answers import answer

MAX_CHARS = 4096


async def on_message(update: Update, _context: Any) -> None:
    question = update.message
    if question is None:
        return
    sent: list[tuple[Message, str]] = []

    async def show(text: str) -> None:
        for index, start in enumerate(range(0, len(text), MAX_CHARS)):
            part = text[start : start + MAX_CHARS]
            try:
                if index == len(sent):
                    sent.append((await question.reply_text(part), part))
                elif sent[index][1] != part:
                    await sent[index][0].edit_text(part)
                    sent[index] = (sent[index][0], part)
            except TelegramError as error:
                sys.stdout.write(f"{error}\n")

    await answer(question.text or "", show)


if __name__ == "__main__":
    application = (
        ApplicationBuilder()
        .token(os.environ["TELEGRAM_BOT_TOKEN"])
        .base_url(f"{os.environ['TELEGRAM_API_BASE']}/bot")
        .concurrent_updates(True)
        .build()
    )
    application.add_handler(MessageHandler(filters.TEXT, on_message))
    application.run_polling()
