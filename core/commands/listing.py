"""/models: every model, with what it can do and what is left of its quota today."""

from collections.abc import Mapping, Sequence

from core.api.catalogue import Model
from core.commands.asking import Asking, bar, literal, plural
from core.commands.menus import turning
from core.commands.reply import Reply
from core.conversation.ledger import CHAT, EMBEDDINGS, Ledger, Quota, span
from core.conversation.models import describe
from core.conversation.resources import Resources
from core.conversation.scope import person_key

__all__ = ["Listing", "matching", "quotas_of"]

LONGEST_SEARCH = 48  # bytes: a button carries it


def matching(models: Sequence[Model], search: str) -> list[Model]:
    """Those whose ids have all words of `search` in them."""
    wanted = search.casefold().split()
    return [model for model in models if all(word in model.id.casefold() for word in wanted)]


async def quotas_of(ledger: Ledger, account: str, models: Sequence[Model]) -> dict[str, Quota]:
    """Today's quotas by the models' ids, each for what the model is there for."""
    found: dict[str, Quota] = {}
    for kind, embeds in ((CHAT, False), (EMBEDDINGS, True)):
        if ids := [model.id for model in models if model.embeds is embeds]:
            found |= await ledger.quotas(account, ids, kind)
    return found


class Listing:
    def __init__(self, with_: Resources) -> None:
        self._with = with_

    async def models(self, asking: Asking) -> Reply:
        search = asking.argument.encode()[:LONGEST_SEARCH].decode(errors="ignore")
        return await self.page(asking, search.strip(), 0)

    async def page(self, asking: Asking, search: str, page: int, *, replace: bool = False) -> Reply:
        """Page number `page`, from 0, of the models that `search` finds."""
        models = self._with.models
        found = matching([*models.chat(), *models.embedding()], search)
        if not found:
            return Reply(f"No model's name has “{literal(search)}” in it.", replace=replace)
        size = asking.may.list_size
        pages = -(-len(found) // size)
        page %= pages
        shown = found[page * size : (page + 1) * size]
        quotas = await self._quotas(asking, shown)
        chosen = asking.choices.model
        lines = [_line(model, quotas[model.id], chosen=model.id == chosen) for model in shown]
        reset = span(self._with.ledger.resets_in())
        head = f"{len(found)} {plural(len(found), 'model')}; quotas begin anew in {reset}:"
        buttons = turning(page, pages, lambda number: f"ml:{number}:{search}")
        return Reply("\n".join([head, "", *lines]), buttons, replace=replace)

    async def _quotas(self, asking: Asking, models: Sequence[Model]) -> Mapping[str, Quota]:
        account = await self._with.accounts.of(person_key(asking.incoming.sender))
        return await quotas_of(self._with.ledger, account.name, models)


def _line(model: Model, quota: Quota, *, chosen: bool) -> str:
    left = "" if quota.left is None else f" · {_short(quota.left)} left"
    used = f" {bar(quota.share, 5)}" if quota.share else ""
    here = " ← here" if chosen else ""
    return f"- {literal(describe(model))}{left}{used}{here}"


def _short(tokens: int) -> str:
    return f"{tokens // 1000}k tokens" if tokens >= 1000 else f"{tokens} tokens"
