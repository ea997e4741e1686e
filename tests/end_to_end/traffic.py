"""All that was said on the wires, checked against the platforms' descriptions."""

from collections import Counter

from tests import specs
from tests.end_to_end.world import World

__all__ = ["complaints"]


def complaints(alive: World) -> Counter[str]:
    """Every request of the bots and every word of the stand-ins that does not fit."""
    found: Counter[str] = Counter()
    for call in alive.telegram.calls:
        method = call.method
        found.update(
            f"request {method}: {e}" for e in specs.telegram_errors(f"method.{method}", call.params)
        )
        if call.status == 200:
            found.update(
                f"answer {method}: {e}"
                for e in specs.telegram_errors(f"result.{method}", call.result)
            )
    for ask in alive.discord.calls:
        where = f"{ask.method} {ask.path.rpartition('/')[2]}"
        found.update(
            f"request {where}: {e}"
            for e in specs.discord_request_errors(ask.method, ask.path, ask.body)
        )
        if ask.result is not None and ask.status != 401:
            found.update(
                f"answer {where} {ask.status}: {e}"
                for e in specs.discord_response_errors(ask.method, ask.path, ask.status, ask.result)
            )
    for event, data in alive.discord.gateway.told:
        found.update(f"{event}: {e}" for e in specs.discord_dispatch_errors(event, data))
    for request in alive.model.requests:
        found.update(specs.model_errors("CreateChatCompletionRequest", request.body))
    return found
