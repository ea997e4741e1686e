"""Which context window an overflow error names."""

import pytest

from core.api.context_overflow import find_limit, is_overflow

TGI = "`inputs` tokens + `max_new_tokens` must be <= 32512. Given: 40000 `inputs` tokens and 1000 `max_new_tokens`"


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("prompt is too long: 213462 tokens > 200000 maximum", 200_000),
        ("Your input is too long. Max input length is 4096 tokens, but you supplied 5441 tokens.", 4096),
        (TGI, 32_512),
        ("input token count is 32825 but model only supports up to 32768", 32_768),
        ("Prompt has 5,958,968 tokens, but the configured context size is 256,000 tokens", 256_000),
        ("This model's maximum context length is 272,000 tokens.", 272_000),
        ("`inputs` must have less than 4095 tokens. Given: 5441", 4095),
        ("Range of input length should be [1, 30720]", 30_720),
        ("Requested tokens (5000) exceed context window of 4096", 4096),
        (
            "Input tokens exceed the configured limit of 272000 tokens. Your messages resulted in 300000 tokens.",
            272_000,
        ),
        ("Input length 9000 exceeds the maximum length of 8192", 8192),
        ("Request body too large. Max size: 8000 tokens. Code: tokens_limit_reached", 8000),
        ("The prompt is too long: it exceeds the 8192-token context window", 8192),
        ("request (40960 tokens) exceeds the available context size n_ctx (32768)", 32_768),
        ("The input is too long for a context window of 128k tokens", 128_000),
        ("The input is too long for a context window of 1M tokens", 1_000_000),
        ("maximum context length is 8'192 tokens", 8192),
        ("maximum context length is 272.000 tokens", 272_000),
        ("prompt is too long: 1 234 567 tokens > 1 000 000 maximum", 1_000_000),
        ("prompt too long: this model has a context of at most 1M tokens", 1_000_000),
        ("too many input tokens: 5000 (limit 4096)", 4096),
        ("prompt length 9000 exceeds the model's limit 8192", 8192),
        (
            "'max_tokens' is too large: 5000. This model's maximum context length is 4096 tokens (5000 > 4096 - 20)",
            4096,
        ),
    ],
)
def test_limit_is_read(text: str, limit: int) -> None:
    assert is_overflow(text)
    assert find_limit(text) == limit


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens (90000) exceeds the maximum of 8192",
        "You requested 90000 completion tokens, which exceeds the limit of 8192",
        "temperature exceeds the maximum of 2",
    ],
)
def test_other_limits_are_no_overflow(text: str) -> None:
    assert not is_overflow(text)


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens must be at least 1, got -186",
        "'max_tokens' or 'max_completion_tokens' is too large: 9000.",
        "prompt is too long; exceeded max context length by 1230 tokens",
        "invalid params, context window exceeds limit (2013)",
        "maximum context length is 272 tokens",
        "maximum context length is 999999999999 tokens",
        "context window: the model supports at most 4096 completion tokens",
    ],
)
def test_other_numbers_are_no_limits(text: str) -> None:
    assert is_overflow(text)
    assert find_limit(text) is None
