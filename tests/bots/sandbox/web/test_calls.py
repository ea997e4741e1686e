"""Which values of a call the page shows."""

import pytest

from bots.sandbox.web.calls import MASK, masked


@pytest.mark.parametrize(
    "name",
    ["token", "secret_token", "access_token", "Authorization", "Proxy-Authorization", "api_key", "x-api-key", "apikey",
     "client_secret", "password", "accessToken", "clientSecret", "apiKey", "APIKey", "token_value", "ACCESS_TOKEN"],
)  # fmt: skip
def test_secrets_are_masked(name: str) -> None:
    assert masked({"outer": [{name: "very-secret"}]}) == {"outer": [{name: MASK}]}


@pytest.mark.parametrize(
    "name",
    ["max_tokens", "max_completion_tokens", "prompt_tokens", "total_tokens", "tokens", "token_count", "secretary",
     "api_key_count", "password_hint", "maxTokens", "value", "", "a_" * 5_000],
)  # fmt: skip
def test_other_values_are_shown(name: str) -> None:
    request = {"usage": {name: 812}}
    assert masked(request) == request
