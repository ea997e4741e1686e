"""/models: every model, with what it can do and what is left of its quota today."""

from collections.abc import Mapping, Sequence

from core.api.catalogue import Model
from core.buttons import ButtonAction, encode_action
from core.commands.menus import page_buttons
from core.commands.reply import Reply
from core.commands.request import CommandRequest, escape_markdown, pluralize, progress_bar
from core.conversation.ledger import Ledger, QuotaStatus, format_duration
from core.conversation.model_registry import describe
from core.conversation.turn_services import TurnServices
from core.scopes import person_key
from core.store.token_usage import UsageKind

__all__ = ["ModelsCommand", "quotas_by_model", "search_models"]

MAX_SEARCH_BYTES = 48  # bytes: a button carries it


def search_models(models: Sequence[Model], search: str) -> list[Model]:
    """Those whose ids have all words of `search` in them."""
    words = search.casefold().split()
    return [model for model in models if all(word in model.id.casefold() for word in words)]


async def quotas_by_model(ledger: Ledger, account: str, models: Sequence[Model]) -> dict[str, QuotaStatus]:
    """Today's quotas by the models' ids, each for what the model is there for."""
    quotas: dict[str, QuotaStatus] = {}
    for kind, embeds in ((UsageKind.CHAT, False), (UsageKind.EMBEDDINGS, True)):
        if ids := [model.id for model in models if model.is_embedding_model is embeds]:
            quotas |= await ledger.get_quotas(account, ids, kind)
    return quotas


class ModelsCommand:
    def __init__(self, services: TurnServices) -> None:
        self._services = services

    async def handle(self, request: CommandRequest) -> Reply:
        search = request.argument.encode()[:MAX_SEARCH_BYTES].decode(errors="ignore")
        return await self.page(request, search.strip(), 0)

    async def page(self, request: CommandRequest, search: str, page: int, *, edits_message: bool = False) -> Reply:
        """Page number `page`, from 0, of the models that `search` finds."""
        models = self._services.registry
        matches = search_models([*models.chat_models(), *models.embedding_models()], search)
        if not matches:
            return Reply(
                f"No model's name has “{escape_markdown(search)}” in it.",
                edits_message=edits_message,
            )
        page_size = request.capabilities.list_page_size
        page_count = -(-len(matches) // page_size)
        page %= page_count
        page_models = matches[page * page_size : (page + 1) * page_size]
        quotas = await self._quotas(request, page_models)
        chosen = request.choices.model
        lines = [_format_model(model, quotas[model.id], is_selected=model.id == chosen) for model in page_models]
        reset = format_duration(self._services.ledger.seconds_until_reset())
        head = f"{len(matches)} {pluralize(len(matches), 'model')}; quotas begin anew in {reset}:"
        buttons = page_buttons(
            page, page_count, lambda number: encode_action(ButtonAction.SHOW_MODEL_LIST, f"{number}:{search}")
        )
        return Reply("\n".join([head, "", *lines]), buttons, edits_message=edits_message)

    async def _quotas(self, request: CommandRequest, models: Sequence[Model]) -> Mapping[str, QuotaStatus]:
        account = await self._services.api_keys.for_person(person_key(request.incoming.sender))
        return await quotas_by_model(self._services.ledger, account.key_id, models)


def _format_model(model: Model, quota: QuotaStatus, *, is_selected: bool) -> str:
    remaining = "" if quota.remaining is None else f" · {_format_tokens(quota.remaining)} left"
    used = f" {progress_bar(quota.used_fraction, 5)}" if quota.used_fraction else ""
    here = " ← here" if is_selected else ""
    return f"- {escape_markdown(describe(model))}{remaining}{used}{here}"


def _format_tokens(tokens: int) -> str:
    return f"{tokens // 1000}k tokens" if tokens >= 1000 else f"{tokens} tokens"
