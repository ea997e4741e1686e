"""What looks like a secret is not carried on."""

import pytest

from core.conversation.secrets import redact


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("my password is hunter2xyz, you know", "hunter2xyz"),
        ("the password is: hunter2xyz", "hunter2xyz"),
        ("Пароль: Весна2026!", "Весна2026!"),
        ("api_key=abc123", "abc123"),
        ("token -> t0ps3cret", "t0ps3cret"),
        ("use sk-proj-abcdefghijklmnop1234", "abcdefghijklmnop1234"),
        ("bot 123456789:AAE-abcdefghijklmnopqrstuvwxyz123456", "AAE-abcdefghij"),
        ("card 4111 1111 1111 1111 please", "4111 1111 1111 1111"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "MIIE"),
    ],
)
def test_a_secret_is_taken_out(text: str, secret: str) -> None:
    assert secret not in redact(text)
    assert "[removed]" in redact(text)


@pytest.mark.parametrize(
    "text",
    ["In 2026 we met 12 times", "https://example.org/a/b"],
)
def test_what_is_none_stays(text: str) -> None:
    assert redact(text) == text
