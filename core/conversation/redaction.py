"""Removes secrets (keys, passwords, card numbers) from text before it is passed on. Pure functions."""

import re

REDACTED = "[removed]"

SERVICE_KEY = re.compile(r"\b(io-v\d-[\w.-]{32,})")
"""A key of IO Intelligence."""
KEY_COMMAND = re.compile(r"\s*/key\s+(\S.*)", re.DOTALL | re.IGNORECASE)
"""Discord sends a command that was pasted as text as a message."""
KEY_MESSAGE = re.compile(r"\s*(sk-[\w.-]{16,})\s*")
SECRET_PATTERNS = (
    re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL),
    re.compile(r"(?<![\w-])eyJ[\w-]{8,}+\.[\w-]{8,}+\.[\w-]{8,}"),  # JSON web tokens
    re.compile(r"\b\d{6,}:[\w-]{30,}"),  # Telegram bot tokens
    re.compile(r"\b(?:sk|pk|rk|io|ghp|gho|ghs|glpat|xox[abprs]|AKIA|AIza)[-_]?[\w-]{16,}"),
    re.compile(r"(?<!\d)(?:\d[ -]?){13,19}(?!\d)"),  # payment cards
)
LONG_WORD = re.compile(r"[\w-]{32,}")
DIGIT, LETTER = re.compile(r"\d"), re.compile(r"[A-Za-z]")
MAX_WORD_CHARS = 31
"""Longer words of letters and digits are treated as keys."""
LABELLED_SECRET = re.compile(
    r"((?:pass(?:word|wort|phrase|code)|пароль|secret|token|api[ _-]?key|mot de passe|contraseña|"
    r"pin|密码|パスワード)(?:\s*(?:\b(?:is|ist|est|es|は)\b|[=:：→—-]>?))+\s*)(\S+)",
    re.IGNORECASE,
)


def find_api_key(text: str) -> str | None:
    """The API key in a message that counts as `/key`; None for any other message."""
    match = KEY_COMMAND.fullmatch(text) or KEY_MESSAGE.fullmatch(text) or SERVICE_KEY.search(text)
    return match[1].strip() if match else None


def redact_service_keys(text: str) -> str:
    return SERVICE_KEY.sub("[API key]", text)


def redact(text: str) -> str:
    """`text` with everything that looks like a secret replaced by `[removed]`."""
    text = LABELLED_SECRET.sub(rf"\1{REDACTED}", text)
    for pattern in SECRET_PATTERNS:
        text = pattern.sub(REDACTED, text)
    return LONG_WORD.sub(_redact_word, text)


def _redact_word(match: re.Match[str]) -> str:
    inner = match[0].strip("-")
    if len(inner) <= MAX_WORD_CHARS or not (DIGIT.search(inner) and LETTER.search(inner)):
        return match[0]
    before, _, after = match[0].partition(inner)
    return f"{before}{REDACTED}{after}"
