"""Recognises the errors that say that a request does not fit a model's context window, and the window they name.

Prompt has 5,958,968 tokens, but the configured context size is 256,000 tokens     256000
prompt is too long: 213462 tokens > 200000 maximum                                 200000
Your input exceeds the context window of this model                                none
"""

import re

MIN_CONTEXT_TOKENS = 512
"""No model has a smaller window: such a number means something else."""
MAX_CONTEXT_TOKENS = 100_000_000

PROMPT_TOKENS = r"(?<!max[_ ])(?<!new[_ ])(?<!output[_ ])(?<!completion[_ ])(?<!budget[_ ])(?<!cached[_ ])tokens?\b"
"""Tokens that are not said to be the answer's, the reasoning's or those of a cache."""
PROMPT = (
    r"(?<!stop[ _:])(?<!stop: )(?<!stop['\"`] )(?:prompt|input|message|request|conversation|context|sequence|chat)s?"
)
MEASURES = r"(?:[ _](?:tokens?|length|size|count|text)){0,3}"
BYTES = r"(?:bytes?|[kmg]i?b)"
MORE_THAN = r"(?<!must be )(?<!should be )(?<!must have )(?:larger|greater|more) than"
"""Unless it is a lower bound."""
TOO_LONG = r"(?:exceed|too (?:long|large|many)|(?:larger|greater|more|longer) than|does(?: not|n't) fit)"
OVERFLOW_PATTERN = re.compile(
    r"context (?:length|size|window|limit|overflow)|max_seq_len|\bn_ctx\b|maximum model length|context_length_exceeded"
    r"|exceed_context_size|reduce (?:the|your) (?:prompt|input|messages?|conversation)\b"
    r"|max_tokens must be at least|max_(?:completion_)?tokens'? is too large(?!.{0,100}completion tokens)"
    r"|longer than the model's context"
    r"|exceeds model's maximum|reduce the length of the|too large for .{1,100}\bmodel\b"
    r"|exceeded model token limit|maximum prompt length is|input token count"
    r"|maximum number of tokens allowed|request_too_large|contextwindowexceeded|tokens_limit_reached"
    rf"|\b{PROMPT}{MEASURES} (?:is |are )?too (?:long|large)"
    r"|(?:prompt|input|context)_too_long|max(?:imum)? (?:input|prompt|sequence|context) length"
    r"|`?inputs`? .{0,40}must|input length should be|only supports up to"
    rf"|\b(?!request){PROMPT}{MEASURES}(?: \(?\d{{1,12}}\)?)? exceed(?:s|ed)? .{{0,40}}(?:max|limit|length)"
    rf"|\b(?:length|size|number of tokens) (?:of|in) (?:the |your )?{PROMPT}\b"
    r"(?!.{0,20}\b(?:image|file|url|audio|video))"
    rf".{{0,60}}{TOO_LONG}(?!.{{0,40}}\d ?{BYTES}\b)"
    rf"|\b{PROMPT} (?:has|have|contains?|is|are|uses?|with) (?:about )?[\d,.]{{1,15}} (?:\w{{1,12}} )?tokens?\b"
    r".{0,80}\b(?:max|limit|only|at most|up to)"
    rf"|\b{PROMPT} (?:is|are) longer than \d|\b{PROMPT} (?:does not|doesn't|cannot|can't) fit\b"
    rf"|{PROMPT_TOKENS}.{{0,60}}\bexceed.{{0,40}}(?:max|limit|length|\d)"
    r"|too many (?:input |prompt |context )?tokens\b(?!,? (?:please wait|per|try))"
    r"|(?:input|prompt|context) token limit"
    rf"|{PROMPT_TOKENS}.{{0,40}}{MORE_THAN}"
    r"|prompt length .{0,60}exceed|prompt tokens and .{0,40}must be (?:below|less|at most|smaller)"
    r"|(?:输入|上下文|提示词?|对话).{0,20}(?:超过|超出|过长|太长)",
    re.IGNORECASE,
)
GROUPED_NUMBER_PATTERN = re.compile("(?<![\\d.,])\\d{1,3}([,._' \u00a0\u202f])\\d{3}(?:\\1\\d{3}){0,3}(?!\\d)")
NON_DIGITS_PATTERN = re.compile(r"\D")

WORDS = (
    r"(?: (?:allowed|supported|input|prompt|context|sequence|model|total|number|of|tokens?|length|size|is|only)){0,8}"
)
"""Words between "maximum" and its number. A closed list: "exceeds the maximum by 1234" names no limit."""
NUMBER = (
    rf"(\d{{1,12}}+) ?([km]?)\b(?! ?(?:completion|output|new|{BYTES})\b)"
    r"(?!\)?(?: ?tokens)? ?(?:exceed|is (?:too|larger|greater|longer|more)\b))"
)
"""A number and its unit, unless the text says that it is the request's."""
LIMIT_PATTERNS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?:<=|≤|<|>) {NUMBER}",
        rf"(?:with|of|the|a) {NUMBER} maximum",
        rf"(?:context|model|sequence) (?:length|size|window|limit){WORDS}[ :=(]{{1,3}}{NUMBER}",
        rf"max(?:imum)?{WORDS}[ :=(]{{1,3}}{NUMBER}",
        rf"(?:n_ctx|max_model_len|max_seq_len|max_(?:prompt|input|total|num)_tokens)(?: of| is)?[ :=(]{{1,3}}{NUMBER}",
        rf"(?:n_ctx|context|window)(?: of| is|:| =) {NUMBER}",
        rf"(?:context|window|length) of (?:this |the |your )?model (?:\S{{1,100}} )?is {NUMBER}",
        rf"\d\)?(?: tokens)? exceeds? .{{0,30}}limit \({NUMBER}",
        rf"limit(?: is| of|:)? {NUMBER}",
        rf"(?:cannot|must not) exceed(?: the)?{WORDS}(?: limit)? {NUMBER}",
        rf"(?:up to|at most|below|less than|{MORE_THAN}|longer than|exceeds) {NUMBER}",
        rf"(?:with|the|a) {NUMBER}[ -]token",
        rf"最大.{{0,10}}? ?{NUMBER}",
        rf"should be \[\d{{1,12}}+, ?{NUMBER}",
    )
)
"""What names the limit, and its number; the most certain wording first."""
UNITS = {"": 1, "k": 1_000, "m": 1_000_000}


def is_overflow(text: str) -> bool:
    return OVERFLOW_PATTERN.search(text) is not None


def find_limit(text: str) -> int | None:
    """The context window in tokens that the text of an overflow error names; None without a plausible one."""
    text = GROUPED_NUMBER_PATTERN.sub(lambda match: NON_DIGITS_PATTERN.sub("", match[0]), text)
    matches = (match for pattern in LIMIT_PATTERNS for match in pattern.finditer(text))
    limits = (int(match[1]) * UNITS[match[2].lower()] for match in matches)
    return next((limit for limit in limits if MIN_CONTEXT_TOKENS <= limit <= MAX_CONTEXT_TOKENS), None)
