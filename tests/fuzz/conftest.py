"""Fixtures of the platforms' tests."""

from tests.bots.telegram.conftest import bot_api, inbox

__all__ = ["bot_api", "inbox"]
