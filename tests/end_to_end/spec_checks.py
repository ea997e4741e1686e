"""Checks all recorded traffic against the API descriptions."""

from collections import Counter

from tests import api_specs
from tests.end_to_end.harness import Harness


def spec_violations(harness: Harness) -> Counter[str]:
    """Requests of the bots and responses of the stand-ins that violate a description."""
    violations: Counter[str] = Counter()
    for call in harness.telegram.calls:
        method = call.method
        violations.update(f"request {method}: {e}" for e in api_specs.telegram_errors(f"method.{method}", call.params))
        if call.status == 200:
            violations.update(
                f"answer {method}: {e}" for e in api_specs.telegram_errors(f"result.{method}", call.result)
            )
    for ask in harness.discord.calls:
        where = f"{ask.method} {ask.path.rpartition('/')[2]}"
        violations.update(
            f"request {where}: {e}" for e in api_specs.discord_request_errors(ask.method, ask.path, ask.body)
        )
        if ask.result is not None and ask.status != 401:
            violations.update(
                f"answer {where} {ask.status}: {e}"
                for e in api_specs.discord_response_errors(ask.method, ask.path, ask.status, ask.result)
            )
    for event, data in harness.discord.gateway.dispatches:
        violations.update(f"{event}: {e}" for e in api_specs.discord_dispatch_errors(event, data))
    for request in harness.model.requests:
        violations.update(api_specs.model_errors("CreateChatCompletionRequest", request.body))
    return violations
