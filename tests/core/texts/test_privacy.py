"""The page that /privacy shows."""

import pytest

from core.settings import Settings
from core.texts.privacy import privacy_page


def test_every_period_stands_with_what_it_is_for() -> None:
    settings = Settings(history_days=2, memory_days=30, button_days=7, usage_days=1_000, inactive_days=90)
    assert privacy_page(settings, "api.example.org") == (
        "**What I store about you**\n\n"
        "- your questions, and the answers to them, for 2 days\n"
        "- your notes and files, for 30 days\n"
        "- your settings and your own API key, which is encrypted, until you delete them\n"
        "- which messages you sent when and where, without their texts, for 7 days\n"
        "- how many tokens you used, for 1,000 days\n\n"
        "A conversation without new messages is deleted after 90 days.\n\n"
        "I don't store pictures or recordings.\n\n"
        "My log may contain the ID of your account, but no messages and no names. My operator decides how long the log "
        "is kept, even after you delete your data.\n\n"
        "Your questions go to the model service `api.example.org`, which has rules of its own."
    )


@pytest.mark.parametrize(
    ("days", "sentence"),
    [(0, ""), (2, "A conversation without new messages is deleted after 2 days.")],
)
def test_deletion_of_inactive_conversations_is_named_where_it_happens(days: int, sentence: str) -> None:
    page = privacy_page(Settings(history_days=0, inactive_days=days), "api.example.org")
    assert "your questions, and the answers to them, until you delete them\n" in page
    assert [part for part in page.split("\n\n") if part.startswith("A conversation")] == ([sentence] if days else [])
