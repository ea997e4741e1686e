"""What looks like a secret is removed, and which message is an API key."""

import pytest

from core.conversation.redaction import find_api_key, redact, redact_service_keys

SERVICE_KEY = f"io-v2-{'a1b2' * 8}"


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
        ("sign it with 3c5be8a1f4d94d0f-9a87c0de12345678-x", "9a87c0de12345678"),
        ("jwt eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP", "eyJzdWIiOiIxIn0"),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----", "MIIE"),
    ],
)
def test_secret_is_redacted(text: str, secret: str) -> None:
    assert secret not in redact(text)
    assert "[removed]" in redact(text)


@pytest.mark.parametrize(
    "text",
    [
        "a-long-name-of-words-with-hyphens-and-no-more",
        "-" * 40,
        "In 2026 we met 12 times",
        "https://example.org/a/b",
    ],
)
def test_other_text_is_kept(text: str) -> None:
    assert redact(text) == text


@pytest.mark.parametrize("unit", ["a-", "eyJ-", "eyJabcdefgh.", "1-", "pin ", "-----BEGIN "])
def test_redaction_takes_linear_time(unit: str) -> None:
    redact(unit * (1_000_000 // len(unit)))  # quadratic time would exceed the test's timeout


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("/key sk-abc", "sk-abc"),
        (" /KEY  my key\n", "my key"),
        ("/key", None),
        ("/keys sk-abc", None),
        ("please /key sk-abc", None),
        ("sk-" + "a" * 16, "sk-" + "a" * 16),
        (" sk-proj_a.b-1234567890\n", "sk-proj_a.b-1234567890"),
        ("sk-" + "a" * 15, None),
        ("my key is sk-" + "a" * 16, None),
        (SERVICE_KEY, SERVICE_KEY),
        (f"my key is {SERVICE_KEY}, what now?", SERVICE_KEY),
        (SERVICE_KEY[:-1], None),
        ("What is an API key?", None),
    ],
)
def test_key_in_a_message_is_found(text: str, key: str | None) -> None:
    assert find_api_key(text) == key


def test_keys_of_the_service_are_removed_from_other_text() -> None:
    assert redact_service_keys(f"invalid key {SERVICE_KEY} for sk-abc") == "invalid key [API key] for sk-abc"
