"""What texts of errors mean, in many wordings. Whole errors are in `service_errors.py`."""

import pytest

from core.api.error_kinds import classify
from core.errors import ModelFailure


@pytest.mark.parametrize(
    "text",
    [
        "The requested model 'x/y' is not supported by any provider you have enabled.",
        "The requested model is not supported. model_not_supported",
        "Model x/y isn't supported",
        "This model is not supported by this endpoint",
        "Unavailable model: x",
        "Unsupported model: x",
        "The supported API model names are deepseek-chat or deepseek-reasoner, but you passed x.",
        "The provided model identifier is invalid.",
        "invalid model name passed in model=x",
        "There are no healthy deployments for this model. Received Model Group=x",
        "The model `x` has been deprecated, learn more here: https://platform.example",
        "The model 'x' was retired on June 5",
        "model x is deprecated and was shut down",
        "The model x has now been discontinued.",
        "This model is no longer available",
        "The model x is no longer supported.",
        "Model 'x' is not loaded",
        "Model x is not served by this server",
        "The model 'Some model 3' is not deployed",
        "Could not find model x",
        "Cannot find the requested model",
        "There is no model named x",
        "x is not a supported model",
        "No such model: x",
        "Model x wasn't found",
        "This is not a chat model and thus not supported in the v1/chat/completions endpoint.",
        '"all-minilm:22m" does not support chat',
        "The model x does not support chat completions",
        "This model only supports embeddings",
        "x is not a chat completion model",
        "This model is only supported in v1/responses and not in v1/chat/completions.",
        "Unable to access non-serverless model x. Please create and start a new dedicated endpoint for the model.",
        "As of transformers v4.44, default chat template is no longer allowed, so you must provide a chat template",
        "Invocation of model ID x with on-demand throughput isn't supported.",
        "Function 'e8ab-12': Not found for account 'x'",
        "The model 'x' has reached its end of life",
        "No model is currently loaded",
        "Model disabled.",
        "模型不存在,请检查模型代码。",
        "不支持的模型: x",
        "模型 x 已下线",
    ],
)
def test_unknown_model(text: str) -> None:
    assert classify(400, text) is ModelFailure.UNKNOWN_MODEL


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("System role is not supported by model x", ModelFailure.REFUSED),
        ("Tools: the model x is not supported with tool_choice", ModelFailure.REFUSED),
        ("The model x is not supported with temperature 0.3", ModelFailure.REFUSED),
        ("The parameter `top_p` for this model is no longer supported.", ModelFailure.REFUSED),
        ("max_tokens has been deprecated for this model", ModelFailure.REFUSED),
        ("Images are not supported by this model", ModelFailure.REFUSED),
        ("This model does not support images", ModelFailure.REFUSED),
        ("This model does not support chat templates with tools", ModelFailure.REFUSED),
        ("Invalid value for the model's temperature", ModelFailure.REFUSED),
        ("Unsupported model parameter: top_k", ModelFailure.REFUSED),
        ("The model is not supported for streaming", ModelFailure.NO_STREAMING),
        ("x is not a multimodal model", ModelFailure.REFUSED),
        ("multiple models are loaded; please specify one", ModelFailure.REFUSED),
        ("Thinking mode of this model is no longer supported", ModelFailure.REFUSED),
        ("This model is not supported in your region.", ModelFailure.REGION),
        ("model does not support chat completions with images", ModelFailure.REFUSED),
        ("The model does not support chat with tools", ModelFailure.REFUSED),
        ("Thinking for this model is disabled", ModelFailure.REFUSED),
    ],
)
def test_other_errors_that_name_a_model(text: str, failure: ModelFailure) -> None:
    assert classify(400, text) is failure


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("The model x is not supported on your plan", ModelFailure.PAYMENT),
        ("The model was removed from your plan", ModelFailure.PAYMENT),
        ("The model x is no longer available on your plan", ModelFailure.PAYMENT),
        ("This model is disabled for your key", ModelFailure.AUTHENTICATION),
    ],
)
def test_models_that_others_may_use(text: str, failure: ModelFailure) -> None:
    assert classify(403, text) is failure


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (429, "You have exceeded your monthly included credits for Inference Providers. Subscribe to PRO."),
        (412, "Account x is suspended, possibly due to reaching the monthly spending limit"),
        (429, "Account x is suspended, possibly due to reaching the monthly spending limit"),
        (429, "Your team has used all available credits"),
        (402, "Prompt tokens limit exceeded: 9000 > 4037. Visit /settings/credits and upgrade to a paid account"),
        (429, "You've used up your credits"),
        (429, "All of your credits have been consumed"),
        (403, "Your team has either used all available credits or reached its monthly spending limit."),
        (400, "You have reached your specified API usage limits. You will regain access on 2027-01-01."),
        (429, "Spend limit reached"),
        (403, "This account has been suspended for unpaid invoices"),
        (429, "Your prepaid credits are depleted"),
        (429, "You have run out of credits"),
        (429, "You have run out of credits. Top up today"),
        (402, "You have exhausted your daily credits"),
        (403, "Your newly created teams doesn't have any credits yet."),
        (400, "Credit limit reached"),
        (402, "You requested up to 8000 tokens, but can only afford 1200. Upgrade to a paid account"),
        (403, "您的账户已欠费"),
        (429, "账户余额已用尽"),
    ],
)
def test_no_credit(status: int, text: str) -> None:
    assert classify(status, text) is ModelFailure.CREDIT


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("Weekly usage limit reached", ModelFailure.QUOTA),
        ("You have hit your weekly limit", ModelFailure.QUOTA),
        ("Usage limit reached. It resets at midnight UTC", ModelFailure.QUOTA),
        ("You reached the limit of the 24-hour window", ModelFailure.QUOTA),
        ("Rate limit of 50 per 86400s exceeded for UserByModelByDay. Wait 3600 seconds.", ModelFailure.QUOTA),
        ("Rate limit of 10 per 60s exceeded for UserByModelByMinute. Wait 3 seconds.", ModelFailure.RATE_LIMITED),
        ("Rate limit exceeded: free-models-per-day. Add 10 credits to unlock 1000 requests", ModelFailure.QUOTA),
        ("今日额度已用完", ModelFailure.QUOTA),
        ("已达到每日使用上限", ModelFailure.QUOTA),
        ("当天的免费次数已用尽", ModelFailure.QUOTA),
        ("Daily quota exceeded, wait 3600 seconds", ModelFailure.QUOTA),
        ("Rate limit exceeded, quota will reset at 12:30", ModelFailure.RATE_LIMITED),
        ("您的账户已达到速率限制，请您控制请求频率", ModelFailure.RATE_LIMITED),
        ("请求过于频繁", ModelFailure.RATE_LIMITED),
        ("You used 300 credits per minute", ModelFailure.RATE_LIMITED),
        ("Quota exceeded", ModelFailure.QUOTA),
        ("You have exhausted your daily credits. Resets at midnight", ModelFailure.QUOTA),
        ("You have used all your credits for today", ModelFailure.QUOTA),
        ("You have used all available credits. They are back at midnight", ModelFailure.QUOTA),
        ("You've used up your free credits for this hour", ModelFailure.RATE_LIMITED),
    ],
)
def test_limits_in_time(text: str, failure: ModelFailure) -> None:
    assert classify(429, text) is failure


@pytest.mark.parametrize(
    ("status", "text", "failure"),
    [
        (403, "Access from your region is forbidden", ModelFailure.REGION),
        (403, "Access from mainland China is not permitted", ModelFailure.REGION),
        (403, "Requests from this country are blocked", ModelFailure.REGION),
        (403, "Our services aren't available to users located in your territory", ModelFailure.REGION),
        (403, "We do not serve your country", ModelFailure.REGION),
        (403, "Your location is restricted", ModelFailure.REGION),
        (403, "Access denied due to export control and sanctions", ModelFailure.REGION),
        (403, "Sorry, you have been blocked", ModelFailure.BLOCKED),
        (403, "You are unable to access api.example.com. Attention Required! Cloudflare", ModelFailure.BLOCKED),
        (403, "Your IP has been banned", ModelFailure.BLOCKED),
        (403, "Unusual traffic from your network", ModelFailure.BLOCKED),
        (403, "Request blocked by guardrail", ModelFailure.FILTERED),
        (400, "Guardrail intervened: the prompt was blocked", ModelFailure.FILTERED),
        (400, "This request has been refused for safety", ModelFailure.FILTERED),
        (400, "this content is prohibited", ModelFailure.FILTERED),
        (400, "The prompt contains prohibited content", ModelFailure.FILTERED),
        (400, "Your message was rejected because it is harmful", ModelFailure.FILTERED),
        (400, "The content is considered unsafe", ModelFailure.FILTERED),
        (400, "输入内容违规", ModelFailure.FILTERED),
        (403, "The API key is not permitted to access this organisation", ModelFailure.AUTHENTICATION),
        (403, "Access from this key is forbidden", ModelFailure.AUTHENTICATION),
        (403, "Forbidden", ModelFailure.AUTHENTICATION),
        (403, "Access from 203.0.113.7 is forbidden", ModelFailure.AUTHENTICATION),
        (403, "Access from VPN is blocked", ModelFailure.AUTHENTICATION),
        (403, "Access from your organization is not allowed", ModelFailure.AUTHENTICATION),
        (403, "Access from unpaid tier is not allowed", ModelFailure.PAYMENT),
        (403, "Access from Hong Kong is restricted", ModelFailure.REGION),
        (403, "Access from Crimea is not allowed", ModelFailure.REGION),
        (403, "Access from Venezuela is forbidden", ModelFailure.REGION),
        (403, "This API is not offered in Afghanistan", ModelFailure.REGION),
        (403, "Access from the European Union is not permitted", ModelFailure.REGION),
        (400, "Guardrails: prompt rejected", ModelFailure.FILTERED),
        (400, "The response violates our guardrails", ModelFailure.FILTERED),
        (400, "guardrails are not supported", ModelFailure.REFUSED),
        (400, "Unknown parameter: guardrails", ModelFailure.REFUSED),
        (400, "This content type is not supported", ModelFailure.REFUSED),
        (400, "Extra fields are prohibited", ModelFailure.REFUSED),
        (400, "Field `content` is forbidden in this message", ModelFailure.REFUSED),
        (400, "This region of the request is invalid", ModelFailure.REFUSED),
        (400, "safety_identifier is not allowed", ModelFailure.REFUSED),
    ],
)
def test_refusals_of_places_and_contents(status: int, text: str, failure: ModelFailure) -> None:
    assert classify(status, text) is failure


@pytest.mark.parametrize(
    "text",
    [
        "Please set stream to false",
        "Set `stream` = false for this model",
        "Use stream=False instead",
        "Streaming is only available for paid users",
        "streaming is unavailable for this model",
        "Only non-streaming requests are accepted",
        "Please disable streaming for this model",
        "This endpoint cannot stream",
    ],
)
def test_no_streaming(text: str) -> None:
    assert classify(400, text) is ModelFailure.NO_STREAMING


@pytest.mark.parametrize(
    "text",
    [
        "The 'stream_options' parameter is only allowed when 'stream' is enabled",
        "Please set stream to true",
        "stream_options should be set along with stream = true",
        "stream options: only include_usage is available",
    ],
)
def test_other_errors_about_streams(text: str) -> None:
    assert classify(400, text) is ModelFailure.REFUSED


@pytest.mark.parametrize(
    ("status", "text", "failure"),
    [
        (500, "litellm.AuthenticationError: Incorrect API key provided", ModelFailure.AUTHENTICATION),
        (500, 'FATAL: password authentication failed for user "app"', ModelFailure.SERVER_ERROR),
        (500, "The key of the cache is invalid", ModelFailure.SERVER_ERROR),
        (503, "The model is not loaded yet", ModelFailure.UNAVAILABLE),
        (503, "Model isn't loaded; warming up", ModelFailure.UNAVAILABLE),
        (503, "No model is currently loaded, loading in progress", ModelFailure.UNAVAILABLE),
        (503, "No model is currently loaded", ModelFailure.UNAVAILABLE),
        (503, "Model 'x' is not loaded", ModelFailure.UNAVAILABLE),
        (500, "No models loaded", ModelFailure.UNKNOWN_MODEL),
        (500, "Error loading model: model not found", ModelFailure.UNKNOWN_MODEL),
        (429, "The capacity is exceeded. model_not_available", ModelFailure.RATE_LIMITED),
        (503, "The model is currently overloaded", ModelFailure.UNAVAILABLE),
        (500, "model requires more system memory (8 GiB) than is available (4 GiB)", ModelFailure.SERVER_ERROR),
        (429, "Model is at capacity. Try again later", ModelFailure.RATE_LIMITED),
    ],
)
def test_errors_of_failing_services(status: int, text: str, failure: ModelFailure) -> None:
    assert classify(status, text) is failure
