"""The errors that services answer with: what each means, and what the person and the operator are told.

Add a row for each new wording. `person` and `operator` are parts of the messages.
"""

import json
from dataclasses import dataclass, field, replace
from typing import Any

from core.errors import ModelFailure

PAGE = "<html><head><title>403 Forbidden</title></head><body><h1>403 Forbidden</h1><p>squid</p></body></html>"

EXTRA_FORBIDDEN = "[{'type':'extra_forbidden','loc':('body','max_completion_tokens'),'msg':'Extra inputs are not permitted','input':9}]"
EXTRA_FIELD = {
    "type": "extra_forbidden",
    "loc": ["body", "max_completion_tokens"],
    "msg": "Extra inputs are not permitted",
    "input": 9,
}

QUOTA_FAILURE = {
    "@type": "type.googleapis.com/google.rpc.QuotaFailure",
    "violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": "50"}],
}


@dataclass(frozen=True)
class ServiceError:
    status: int
    body: Any
    """Sent as JSON; a text is sent as it is."""
    failure: ModelFailure
    person: str
    operator: str
    limit: int | None = None
    """The context window that the error names, in tokens."""
    rejected_part: str = ""
    """The part of the request that the error names; the request is repeated without it."""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    @property
    def name(self) -> str:
        return f"{self.status} {self.body} {self.headers or ''}"[:100]


def openai_error(message: str, code: object = None, kind: str = "") -> dict[str, object]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def from_provider(message: str, status: int) -> dict[str, object]:
    """OpenRouter's error about the error of a provider."""
    raw = json.dumps({"type": "error", "error": {"message": message, "type": "invalid_request_error"}})
    metadata = {"raw": raw, "provider_name": "P"}
    return {"error": {"message": "Provider returned error", "code": status, "metadata": metadata}}


def key_rejected(status: int, body: Any) -> ServiceError:
    return ServiceError(
        status, body, ModelFailure.AUTHENTICATION, "rejected this bot's API key", "not accept the API key"
    )


def no_credit(status: int, body: Any) -> ServiceError:
    return ServiceError(status, body, ModelFailure.CREDIT, "has no credit left", "add credit at the service")


def needs_plan(status: int, body: Any) -> ServiceError:
    return ServiceError(status, body, ModelFailure.PAYMENT, "needs a higher plan", "does not include this model")


def wrong_country(status: int, body: Any) -> ServiceError:
    return ServiceError(status, body, ModelFailure.REGION, "country where this bot runs", "does not serve the country")


def blocked(status: int, body: Any, content_type: str = "application/json") -> ServiceError:
    person, operator = "A firewall blocks this bot", "A proxy or a firewall answered"
    return ServiceError(status, body, ModelFailure.BLOCKED, person, operator, content_type=content_type)


def filtered(status: int, body: Any) -> ServiceError:
    return ServiceError(status, body, ModelFailure.FILTERED, "Rephrase your question", "content filter")


def no_streaming(status: int, body: Any) -> ServiceError:
    person, operator = "does not stream", "does not stream"
    return ServiceError(status, body, ModelFailure.NO_STREAMING, person, operator, rejected_part="stream")


def busy(status: int, body: Any, **headers: str) -> ServiceError:
    person, operator = "The model is busy", "per second or minute"
    return ServiceError(status, body, ModelFailure.RATE_LIMITED, person, operator, headers=headers)


def quota_used_up(status: int, body: Any, **headers: str) -> ServiceError:
    person, operator = "Today's quota for this model is used up", "for today is used up"
    return ServiceError(status, body, ModelFailure.QUOTA, person, operator, headers=headers)


def wrong_address(status: int, body: Any, content_type: str = "application/json") -> ServiceError:
    person, operator = "wrong address for its model service", "For most services it ends in /v1"
    return ServiceError(status, body, ModelFailure.WRONG_ADDRESS, person, operator, content_type=content_type)


def part_rejected(status: int, body: Any, part: str) -> ServiceError:
    person, operator = "rejected this request", "rejects a value or a field"
    return ServiceError(status, body, ModelFailure.REFUSED, person, operator, rejected_part=part)


def too_long(status: int, body: Any, limit: int | None = None) -> ServiceError:
    person, operator = "too long for the model", "exceeds the model's context window"
    return ServiceError(status, body, ModelFailure.OVERFLOW, person, operator, limit)


def unknown_model(status: int, body: Any) -> ServiceError:
    return ServiceError(status, body, ModelFailure.UNKNOWN_MODEL, "no longer available", "does not offer this model")


def internal_error(status: int, body: Any) -> ServiceError:
    return ServiceError(status, body, ModelFailure.SERVER_ERROR, "reported an internal error", "has an internal error")


def unavailable(status: int, body: Any) -> ServiceError:
    return ServiceError(status, body, ModelFailure.UNAVAILABLE, "is unavailable", "overloaded or down")


SERVICE_ERRORS = [
    # The key
    key_rejected(401, {"detail": "Invalid API Key"}),
    key_rejected(401, openai_error("Incorrect API key provided: sk-abc.", "invalid_api_key")),
    key_rejected(403, {"detail": "Invalid token"}),
    key_rejected(403, openai_error("Forbidden", kind="permission_error")),
    key_rejected(403, ""),
    key_rejected(400, openai_error("API key not valid. Please pass a valid API key.", 400, "INVALID_ARGUMENT")),
    key_rejected(403, {"message": "Missing Authentication Token"}),
    key_rejected(400, [openai_error("API key not valid. Please pass a valid API key.", 400)]),
    key_rejected(200, openai_error("Incorrect API key provided", kind="invalid_request_error")),
    key_rejected(200, {"error": {"message": "invalid x-api-key", "type": "authentication_error"}}),
    key_rejected(500, openai_error("litellm.AuthenticationError: no api key passed in")),
    key_rejected(400, {"error": "Bad Request", "message": "The API token has expired"}),
    # The country
    wrong_country(
        403,
        openai_error("Country, region, or territory not supported", "unsupported_country_region_territory"),
    ),
    wrong_country(400, openai_error("User location is not supported for the API use.", 400)),
    wrong_country(403, {"detail": "This service is not available in your country."}),
    wrong_country(451, {"detail": "Unavailable For Legal Reasons"}),
    wrong_country(403, {"detail": "Your account does not have access to this endpoint in this region"}),
    wrong_country(403, openai_error("This model is not available in your region.")),
    wrong_country(403, openai_error("Model access is denied because of geographic restrictions")),
    # A proxy or a firewall
    blocked(403, PAGE, "text/html; charset=utf-8"),
    blocked(403, PAGE, "application/json"),
    blocked(403, "error code: 1020", "text/plain"),
    blocked(403, {"error": "Your IP address is not allowed to access this resource"}),
    blocked(407, "Proxy Authentication Required", "text/plain"),
    blocked(403, "Forbidden", "text/plain"),
    blocked(403, openai_error("Access denied. Please check your network settings.")),
    blocked(403, "<html><title>Just a moment...</title></html>", "text/html"),
    blocked(403, openai_error("Your request was blocked.")),
    blocked(403, {"error": "Forbidden: request blocked by WAF"}),
    blocked(403, from_provider("error code: 1010", 403)),
    # The content
    filtered(403, {"error": "Content violates usage guidelines"}),
    filtered(403, {"code": "permission-denied", "error": "Content violates usage guidelines. Failed check: SAFETY"}),
    filtered(403, openai_error("Your chosen model requires moderation and your input was flagged for violence", 403)),
    filtered(400, openai_error("The response was filtered due to the content management policy.", "content_filter")),
    filtered(400, openai_error("Your request was rejected as a result of our safety system.", "moderation_blocked")),
    filtered(400, {"code": "DataInspectionFailed", "message": "Input data may contain inappropriate content."}),
    filtered(400, {"message": "<400> InternalError.Algo.DataInspectionFailed: Input text may be unsafe"}),
    filtered(400, openai_error("系统检测到输入或生成内容可能包含不安全或敏感内容", "1301")),
    filtered(403, openai_error("Your input was flagged for violence. No credits were charged.", 403)),
    filtered(400, openai_error("Content Exists Risk", kind="invalid_request_error")),
    filtered(400, openai_error("The request was rejected because it was considered high risk")),
    filtered(400, {"base_resp": {}, "message": "input new_sensitive"}),
    filtered(400, openai_error("Output blocked for safety")),
    filtered(400, from_provider("data_inspection_failed", 400)),
    # Streaming
    no_streaming(400, openai_error("This model only supports non-streaming requests")),
    no_streaming(403, {"error": "Streaming is not allowed"}),
    no_streaming(400, openai_error("Your organization must be verified to stream this model.", "unsupported_value")),
    no_streaming(400, {"detail": "This model does not support streaming."}),
    no_streaming(422, {"detail": "stream: streaming responses are not supported"}),
    no_streaming(400, {"detail": "'stream' must be set to false for this model"}),
    no_streaming(400, openai_error("Model m does not support `stream`")),
    no_streaming(400, openai_error("This model doesn\u2019t support streaming")),
    # Credit
    no_credit(402, ""),
    no_credit(402, openai_error("Insufficient Balance", "invalid_request_error")),
    no_credit(429, openai_error("You exceeded your current quota, please check your plan and billing details.")),
    no_credit(429, openai_error("No.", "insufficient_quota", "insufficient_quota")),
    no_credit(
        429, openai_error("Your account is suspended due to insufficient balance", kind="exceeded_current_quota")
    ),
    no_credit(
        402, openai_error("This request requires more credits, or fewer max_tokens. You can only afford 12.", 402)
    ),
    no_credit(400, openai_error("Your credit balance is too low to access the API.", kind="invalid_request_error")),
    no_credit(403, {"message": "Your account balance is insufficient"}),
    no_credit(403, openai_error("Access denied, please make sure your account is in good standing.", "Arrearage")),
    no_credit(429, openai_error("余额不足或无可用资源包,请充值。", "1113")),
    no_credit(400, openai_error("Budget has been exceeded! Current cost: 5, Max budget: 5", kind="budget_exceeded")),
    no_credit(403, openai_error("The free tier of the model has been exhausted.", "AllocationQuota.FreeTierOnly")),
    no_credit(400, openai_error("ExceededBudget: User=x over budget. Spend=1.2, Budget=1.0")),
    no_credit(403, {"message": "Key limit exceeded (total limit). Manage it in the settings"}),
    # A higher plan
    needs_plan(402, {"detail": "This model is not included in your current plan"}),
    needs_plan(402, {"detail": "This model needs tier 2"}),
    needs_plan(403, openai_error("Access to model meta/llama is restricted", 403)),
    needs_plan(403, {"detail": "Key not allowed to access model gpt-5"}),
    # Limits of some minutes, whatever they call them
    busy(429, openai_error("Quota exceeded for quota metric 'Generate requests per minute', limit 'per minute'", 429)),
    busy(429, openai_error("You exceeded your current quota. Limit: 10 requests per minute. See billing.", 429)),
    busy(429, openai_error("Quota exceeded: 5 requests per minute. Today's quota is not affected.", 429)),
    busy(
        429, openai_error("Rate limit reached for m on tokens per min (TPM): Limit 90000 / min.", "rate_limit_exceeded")
    ),
    busy(429, {"detail": "Token quota exceeded. Your quota resets in 42 seconds."}),
    busy(429, {"detail": "Quota exceeded"}, **{"retry-after": "30"}),
    busy(429, {"detail": "TPM quota reached"}),
    busy(403, openai_error("Rate Limit Exceeded: too many requests per second", "rateLimitExceeded")),
    busy(429, {"detail": "slow down"}),
    busy(429, {"detail": "Minute quota exceeded"}),
    busy(429, {"detail": "quota exceeded (limit: 10/minute)"}),
    busy(429, openai_error("Resource has been exhausted (e.g. check quota).", 429, "RESOURCE_EXHAUSTED")),
    busy(200, {"error": {"message": "slow down", "status": 429}}),
    busy(200, {"error": {"message": "slow down", "status_code": "429"}}),
    busy(200, {"error": {"message": "slow down", "type": "rate_limit_error"}}),
    busy(200, {"status": 429, "title": "Too Many", "detail": "slow down"}),
    # Limits of a day
    quota_used_up(429, {"detail": "Daily token quota of m exceeded"}),
    quota_used_up(429, openai_error("Rate limit reached for m on requests per day (RPD): Limit 200 / day.")),
    quota_used_up(429, {"detail": "Tokens per day (TPD) limit reached. Try again in 7m12s"}),
    quota_used_up(429, {"detail": "Quota exceeded"}),
    quota_used_up(429, {"detail": "slow down"}, **{"retry-after": "3600"}),
    quota_used_up(429, {"detail": "Quota exceeded, try again tomorrow"}),
    quota_used_up(403, {"message": "Key limit exceeded (daily limit). Manage it in the settings"}),
    quota_used_up(429, from_provider("You have exceeded your daily quota", 429)),
    quota_used_up(429, [{"error": {"code": 429, "message": "Try later", "details": [QUOTA_FAILURE]}}]),
    # A wrong address
    wrong_address(404, "404 page not found", "text/plain"),
    wrong_address(404, {"detail": "Not Found"}),
    wrong_address(404, {"error": "Not Found"}),
    wrong_address(404, PAGE.replace("403 Forbidden", "404 Not Found"), "text/html"),
    wrong_address(404, openai_error("Invalid URL (POST /chat/completions)", kind="invalid_request_error")),
    wrong_address(405, {"detail": "Method Not Allowed"}),
    wrong_address(200, {"error": "Unexpected endpoint or method. (POST /chat/completions)"}),
    # A part of the request that another form avoids
    part_rejected(400, {"object": "error", "message": "System role not supported", "code": 400}, "system role"),
    part_rejected(
        400, {"message": "Conversation roles must alternate user/assistant/user/assistant/..."}, "system role"
    ),
    part_rejected(
        400, {"error": {"message": "Developer instruction is not enabled for m", "code": 400}}, "system role"
    ),
    part_rejected(400, {"detail": "Extra inputs are not permitted, field: 'stream_options'"}, "stream_options"),
    part_rejected(400, {"object": "error", "message": EXTRA_FORBIDDEN, "code": 400}, "max_completion_tokens"),
    part_rejected(422, {"detail": [EXTRA_FIELD]}, "max_completion_tokens"),
    part_rejected(
        400,
        openai_error(
            "Unsupported value: 'temperature' does not support 0.3 with this model. Only 1 is supported.",
            "unsupported_value",
        ),
        "temperature",
    ),
    part_rejected(400, openai_error("Unrecognized request argument supplied: reasoning_effort"), "reasoning_effort"),
    part_rejected(400, openai_error("Reasoning cannot be disabled for model m"), "reasoning_effort"),
    part_rejected(
        400,
        openai_error("Unsupported parameter: 'max_tokens' is not supported. Use 'max_completion_tokens' instead."),
        "max_tokens",
    ),
    part_rejected(400, openai_error("property 'reasoning_content' is unsupported"), ""),
    part_rejected(400, {"detail": "Something else"}, ""),
    replace(internal_error(500, {"message": "System role not supported", "code": 500}), rejected_part="system role"),
    part_rejected(
        400,
        openai_error("max_completion_tokens is too large: 90000. This model supports at most 16384 completion tokens."),
        "max_completion_tokens",
    ),
    part_rejected(
        400, openai_error("Please ensure that multiturn requests alternate between user and model."), "system role"
    ),
    part_rejected(400, {"error": '"think" value "low" is not supported for this model'}, "reasoning_effort"),
    part_rejected(400, openai_error("This model does not support the effort parameter"), "reasoning_effort"),
    # A request that exceeds the window
    too_long(400, openai_error("prompt is too long: 213462 tokens > 200000 maximum"), 200_000),
    too_long(400, {"detail": "Your input is too long. Max input length is 4096 tokens, but you supplied 5441."}, 4096),
    too_long(
        422,
        {"error": "`inputs` tokens + `max_new_tokens` must be <= 32512. Given: 40000 `inputs` tokens and 1000"},
        32_512,
    ),
    too_long(400, openai_error("The input token count is 32825 but model only supports up to 32768.", 400), 32_768),
    too_long(
        400, {"detail": "Prompt has 5,958,968 tokens, but the configured context size is 256,000 tokens"}, 256_000
    ),
    too_long(400, {"detail": "This model's maximum context length is 272,000 tokens."}, 272_000),
    too_long(400, openai_error("This model's maximum context length is 272 tokens.")),
    too_long(400, openai_error("Your input exceeds the context window of this model", "context_length_exceeded")),
    too_long(413, "Payload Too Large"),
    too_long(400, openai_error("Input token limit exceeded: 300000 > 262144"), 262_144),
    too_long(400, openai_error("Context limit exceeded")),
    too_long(
        400,
        openai_error("input length and `max_tokens` exceed context limit: 190000 + 20000 > 200000, decrease them"),
        200_000,
    ),
    too_long(
        400,
        {"message": "too many tokens: total number of tokens in the prompt cannot exceed 4081 - received 5000."},
        4081,
    ),
    too_long(400, {"error": "The number of tokens to keep from the prompt is greater than the context length"}),
    too_long(400, {"error": "The model is loaded with context length of only 4096 tokens, which is not enough"}, 4096),
    too_long(400, openai_error("Request body too large for m model. Max size: 8000 tokens."), 8000),
    too_long(
        400,
        {"errors": [], "message": "the number of input tokens 5000 cannot exceed the total tokens limit 4096"},
        4096,
    ),
    too_long(400, openai_error("prompt token count of 150000 exceeds the limit of 128000"), 128_000),
    too_long(400, openai_error("Total tokens of image and text exceed max message tokens.")),
    too_long(400, openai_error("context length exceeded: got 9000 tokens, max 8192"), 8192),
    too_long(400, openai_error("Your request has 9000 tokens, which exceeds the context length of 8192."), 8192),
    too_long(400, openai_error("number of input tokens (9000) has exceeded max_prompt_tokens (8192) limit"), 8192),
    too_long(400, openai_error("The number of tokens (9000) is larger than the allowed maximum of 8192"), 8192),
    too_long(
        400,
        openai_error("The sum of prompt length (9000.0), query length (0) should not exceed max_num_tokens (8192)"),
        8192,
    ),
    too_long(400, openai_error("输入长度超过模型最大长度限制", "1261")),
    too_long(400, from_provider("prompt is too long: 213462 tokens > 200000 maximum", 400), 200_000),
    too_long(
        400,
        [openai_error("The input token count (40000) exceeds the maximum number of tokens allowed (32768).", 400)],
        32_768,
    ),
    too_long(400, {"success": False, "errors": [{"message": "prompt is too long: 9000 tokens > 8192 maximum"}]}, 8192),
    too_long(400, {"error": {"message": {"detail": "Requested tokens (9000) exceed context window of 8192"}}}, 8192),
    too_long(400, {"error": "Bad Request", "message": "prompt is too long: 9000 tokens > 8192 maximum"}, 8192),
    too_long(400, {"detail": '{"error": {"message": "Input length 9000 exceeds the maximum length of 8192"}}'}, 8192),
    too_long(
        400,
        {
            "message": "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum "
            "context length",
            "type": "invalid_request_error",
            "code": "3051",
        },
        32_768,
    ),
    # A model that the service does not offer
    unknown_model(
        404, openai_error("The model `m` does not exist or you do not have access to it.", "model_not_found")
    ),
    unknown_model(404, openai_error('model "m" not found, try pulling it first', kind="api_error")),
    unknown_model(404, {"detail": "Unknown model: m"}),
    unknown_model(404, openai_error("No endpoints found for m.", 404)),
    unknown_model(400, openai_error("The model `m` has been decommissioned and is no longer supported.")),
    unknown_model(
        400, {"detail": "The requested model is not available for Chat Completions API. Available models: []"}
    ),
    unknown_model(410, {"detail": "Gone"}),
    unknown_model(400, openai_error("Model Not Exist", "invalid_request_error")),
    unknown_model(400, openai_error("x/y is not a valid model ID", 400)),
    unknown_model(400, openai_error("LLM Provider NOT provided. You passed model=x")),
    unknown_model(404, openai_error("No models loaded. Please load a model in the developer page.")),
    needs_plan(401, openai_error("key not allowed to access model. It can only access models=['x']")),
    # A defect of the service is no lost connection
    internal_error(500, {"detail": "Internal Server Error"}),
    internal_error(500, ""),
    internal_error(500, PAGE.replace("403 Forbidden", "500 Internal Server Error")),
    quota_used_up(200, {"detail": "Daily token quota exceeded"}),
    busy(500, {"detail": "litellm.RateLimitError: rate limit reached"}),
    internal_error(200, openai_error("CUDA error", 500)),
    internal_error(200, {"error": "something went wrong"}),
    unavailable(500, {"detail": "The engine is overloaded"}),
    unavailable(502, PAGE),
    unavailable(503, {"detail": "Service Unavailable"}),
    unavailable(529, openai_error("Overloaded", kind="overloaded_error")),
]
