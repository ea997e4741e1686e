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
        ("length of prompt_tokens (40000) must be less than max_seq_len (32768).", 32_768),
        ("Your prompt has 9000 tokens but this model supports a maximum of 8192 tokens.", 8192),
        ("The request contains 9,000 tokens; the model accepts at most 8,192", 8192),
        ("Too many tokens: 9000 > 8192", 8192),
        ("Too many tokens (9000), the limit is 8192", 8192),
        ("Input token length is too long: 9000. Max allowed: 8192", 8192),
        ("Prompt size too large: 9000, limit: 8192", 8192),
        ("Request exceeded max_seq_len of 4096", 4096),
        ("The request exceeds the maximum sequence length (4096)", 4096),
        ("The sequence length 9000 exceeds the max context 8192.", 8192),
        ("The total length of the conversation (9000) exceeds the limit (8192)", 8192),
        ("The size of your prompt (9000 tokens) exceeds the limit of 8192 tokens", 8192),
        ("The number of tokens in your conversation is larger than 8192", 8192),
        ("The context window of this model is 8192.", 8192),
        ("The context length of model x is 8192 tokens", 8192),
        ("The prompt is longer than 8192 tokens", 8192),
        ("This conversation does not fit into the model's context of 8192 tokens", 8192),
        ("context overflow: 9000 tokens, n_ctx = 8192", 8192),
        ("Token count 9000 exceeds 8192", 8192),
        ("Cannot truncate prompt with n_keep (9000) >= n_ctx (8192)", 8192),
        ("The sum of prompt tokens and max_tokens must be below 8192", 8192),
        ("Prompt contains 40000 tokens, too large for model with 32768 maximum context length", 32_768),
        ("The length of the input exceeds the window of 8192", 8192),
        ("提示词超出最大长度 8192", 8192),
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
        "Your request contains 11 images, but this model supports a maximum of 10 images.",
        "The request has 2 messages with 5 tools, at most 4 are allowed",
        "The length of the stop sequence exceeds the limit (4)",
        "Too many tokens, please wait before trying again.",
        "The number of output tokens is larger than 8192",
        "The model name is longer than 200 characters",
        "The image is too large: 9000 > 8192",
        "max_tokens: 90000 > 8192, which is the maximum allowed number of output tokens",
        "messages.1.content.0.image: image exceeds 5 MB maximum: 6 MB > 5242880 bytes",
        "top_logprobs exceeds the limit (20)",
        "The length of the input image URL exceeds the maximum of 2048",
        "The size of the input image is too large",
        "size of the message image exceeds 5242880 bytes",
        "The size of the input exceeds 20 MB",
        "stop: sequence length exceeds maximum 4",
        "'stop' sequence length exceeds maximum 4",
        "budget_tokens must be greater than 1024",
        "thinking.enabled.budget_tokens: the budget tokens should be larger than 1024",
        "The number of prompt tokens must be greater than 0",
        "Cached tokens cannot be larger than 1024",
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
        "The prompt does not fit in the context of the model",
        "Your message is too long. Please shorten it",
        "Please reduce your prompt; or completion length.",
        "The conversation exceeds the maximum length. Start a new chat",
        "maximum context length is 999999999999 tokens",
        "context window: the model supports at most 4096 completion tokens",
        "The prompt size exceeds the limit of 5242880 bytes",
        "The message is too long: at most 4096 KB",
        "The context length must be greater than 1024",
    ],
)
def test_other_numbers_are_no_limits(text: str) -> None:
    assert is_overflow(text)
    assert find_limit(text) is None
