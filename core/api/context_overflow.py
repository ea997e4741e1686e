"""Recognises the errors that say that a request does not fit a model's context window, and the window they name.

Prompt has 5,958,968 tokens, but the configured context size is 256,000 tokens     256000
prompt is too long: 213462 tokens > 200000 maximum                                 200000
Your input exceeds the context window of this model                                none
"""

import re

MIN_CONTEXT_TOKENS = 512
"""No model has a smaller window: such a number means something else."""
MAX_CONTEXT_TOKENS = 100_000_000

PROMPT_TOKENS = r"(?<!max[_ ])(?<!new[_ ])(?<!output[_ ])(?<!completion[_ ])tokens?\b"
"""Tokens that are not said to be the answer's."""
OVERFLOW_PATTERN = re.compile(
    r"context (?:length|size|window|limit)|maximum model length|context_length_exceeded|exceed_context_size"
    r"|max_tokens must be at least|max_(?:completion_)?tokens'? is too large(?!.{0,100}completion tokens)"
    r"|longer than the model's context"
    r"|exceeds model's maximum|reduce the length of the|too large for .{1,100}\bmodel\b"
    r"|exceeded model token limit|maximum prompt length is|input token count"
    r"|maximum number of tokens allowed|request_too_large|contextwindowexceeded|tokens_limit_reached"
    r"|(?:prompt|input|messages?|request|conversation|context|sequence) (?:is |are )?too (?:long|large)"
    r"|(?:prompt|input|context)_too_long|max(?:imum)? (?:input|prompt|sequence|context) length"
    r"|`?inputs`? .{0,40}must|input length should be|only supports up to"
    r"|(?:prompt|input|context|message)s?(?: tokens?| length| size)?(?: \(?\d{1,12}\)?)? exceeds? "
    r".{0,40}(?:max|limit|length)"
    rf"|{PROMPT_TOKENS}.{{0,60}}\bexceed.{{0,40}}(?:max|limit|length|\d)"
    r"|too many (?:input|prompt|context) tokens|(?:input|prompt|context) token limit"
    rf"|{PROMPT_TOKENS}.{{0,40}}(?:larger|greater|more) than"
    r"|prompt length .{0,60}exceed"
    r"|(?:输入|上下文).{0,20}(?:超过|超出|过长)",
    re.IGNORECASE,
)
GROUPED_NUMBER_PATTERN = re.compile("(?<![\\d.,])\\d{1,3}([,._' \u00a0\u202f])\\d{3}(?:\\1\\d{3}){0,3}(?!\\d)")
NON_DIGITS_PATTERN = re.compile(r"\D")

WORDS = (
    r"(?: (?:allowed|supported|input|prompt|context|sequence|model|total|number|of|tokens?|length|size|is|only)){0,8}"
)
"""Words between "maximum" and its number. A closed list: "exceeds the maximum by 1234" names no limit."""
NUMBER = r"(\d{1,12}+) ?([km]?)\b(?! ?(?:completion|output|new)\b)"
LIMIT_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?:<=|≤|<|>) {NUMBER}",
        rf"(?:with|of|the|a) {NUMBER} maximum",
        rf"(?:context|model|sequence) (?:length|size|window|limit){WORDS}[ :=(]{{1,3}}{NUMBER}",
        rf"max(?:imum)?{WORDS}[ :=(]{{1,3}}{NUMBER}",
        rf"(?:n_ctx|max_model_len|max_seq_len|max_(?:prompt|input|total|num)_tokens)[ :=(]{{1,3}}{NUMBER}",
        rf"limit(?: is| of|:)? {NUMBER}",
        rf"(?:cannot|must not) exceed(?: the)?{WORDS}(?: limit)? {NUMBER}",
        rf"(?:up to|at most|less than|more than) {NUMBER}",
        rf"(?:with|the|a) {NUMBER}[ -]token",
        rf"should be \[\d{{1,12}}+, ?{NUMBER}",
    )
)
"""A number and its unit after what names the limit; the most certain wording first."""
UNITS = {"": 1, "k": 1_000, "m": 1_000_000}


def is_overflow(text: str) -> bool:
    return OVERFLOW_PATTERN.search(text) is not None


def find_limit(text: str) -> int | None:
    """The context window in tokens that the text of an overflow error names; None without a plausible one."""
    text = GROUPED_NUMBER_PATTERN.sub(lambda match: NON_DIGITS_PATTERN.sub("", match[0]), text)
    matches = (match for pattern in LIMIT_PATTERNS for match in pattern.finditer(text))
    limits = (int(match[1]) * UNITS[match[2].lower()] for match in matches)
    return next((limit for limit in limits if MIN_CONTEXT_TOKENS <= limit <= MAX_CONTEXT_TOKENS), None)
