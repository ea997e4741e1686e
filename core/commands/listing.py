"""/models: every model, with what is left of its quota today."""

from core.commands.asking import Asking, bar, literal, plural
from core.commands.reply import Reply
from core.conversation.ledger import span
from core.conversation.models import describe
from core.conversation.resources import Resources
from core.conversation.scope import person_key

__all__ = ["Listing"]


class Listing:
    def __init__(self, with_: Resources) -> None:
        self._with = with_

    async def models(self, asking: Asking) -> Reply:
        wanted = asking.argument.casefold()
        found = [m for m in self._with.models.chat() if wanted in m.id.casefold()]
        if not found:
            return Reply(f"No model's name has “{literal(wanted[:80])}” in it.")
        account = await self._with.accounts.of(person_key(asking.incoming.sender))
        quotas = await self._with.ledger.quotas(account.name, [model.id for model in found])
        chosen = asking.choices.model
        lines = []
        for model in found:
            quota = quotas[model.id]
            left = "" if quota.left is None else f" · {_short(quota.left)} left"
            used = f" {bar(quota.share, 5)}" if quota.share else ""
            here = " ← here" if model.id == chosen else ""
            lines.append(f"- {describe(model)}{left}{used}{here}")
        reset = span(self._with.ledger.resets_in())
        head = f"{len(found)} {plural(len(found), 'model')}; quotas begin anew in {reset}:"
        return Reply("\n".join([head, "", *lines]))


def _short(tokens: int) -> str:
    return f"{tokens // 1000}k tokens" if tokens >= 1000 else f"{tokens} tokens"
