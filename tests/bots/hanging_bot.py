"""A bot whose adapter never ends, as a program: `python -m tests.bots.hanging_bot loop|task`."""

import asyncio
import sys
import time
from typing import cast

from bots.adapter_spec import AdapterSpec
from bots.run import run_bot
from bots.telegram.settings import TelegramSettings
from core.port import Adapter, Inbox, RateLimit, RateWindow
from core.services import Services
from core.settings import Settings, load_settings
from core.timings import Timings


class HangingAdapter:
    platform = "telegram"
    account = "1"
    account_rate_limit: RateLimit = (RateWindow(1, 1.0),)

    def __init__(self, what: str) -> None:
        self._what = what

    async def run(self, _inbox: Inbox) -> None:
        print("serving", flush=True)  # noqa: T201 (read by the test)
        while self._what == "loop":
            time.sleep(0.1)  # not longer: a signal just before the system call would wait for its end
        while True:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                continue


def create(_settings: TelegramSettings, _services: Services) -> Adapter:
    return cast("Adapter", HangingAdapter(sys.argv[1]))


if __name__ == "__main__":
    spec = AdapterSpec("telegram", TelegramSettings, "TELEGRAM_BOT_TOKEN", access_subjects={}, create=create)
    settings = load_settings((Settings, TelegramSettings))
    asyncio.run(run_bot(settings, show_pairing_code=print, specs=[spec], timings=Timings(exit_deadline=0.5)))
