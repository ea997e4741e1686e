"""/usage: the tokens that a person used today and, for operators, everyone."""

from collections.abc import Mapping

from core.commands.request import CommandRequest, Reply
from core.conversation.ledger import QuotaStatus
from core.scopes import usage_subjects
from core.services import Services
from core.store.grants import is_operator
from core.store.token_usage import UsageKind, get_daily_usage, usage_since
from core.texts import usage as texts


async def usage_reply(request: CommandRequest) -> Reply:
    services, sender = request.services, request.incoming.sender
    api_key = await request.api_key()
    usage = _personal_key_usage if api_key.is_personal else _bot_key_usage
    lines = await usage(request, api_key.key_id)
    lines += await _embedding_usage(services, api_key.key_id)
    lines += ["", texts.quotas_reset(services.ledger.seconds_until_reset())]
    if await services.store.read(is_operator, sender.platform, sender.user):
        lines += await _total_usage(services)
    return Reply("\n".join(lines))


async def _embedding_usage(services: Services, key_id: str) -> list[str]:
    quotas = await services.ledger.get_quotas(key_id, [], UsageKind.EMBEDDINGS)
    used = [quota for quota in quotas.values() if quota.usage.is_exhausted or quota.usage.tokens]
    return ["", *(texts.embedding_usage(quota.usage.tokens, quota.remaining) for quota in used)] if used else []


async def _personal_key_usage(request: CommandRequest, key_id: str) -> list[str]:
    services = request.services
    quotas = await services.ledger.get_quotas(key_id, [])
    rows = [
        _row(services, model, quota.usage.tokens, quota.usage.answers, quota, is_shared=False)
        for model, quota in _most_used_first(quotas)
        if quota.usage.tokens
    ]
    lines = texts.personal_usage(rows, on_personal_key=True)
    subject = usage_subjects(request.incoming)[0]
    used = await services.store.read(get_daily_usage, [subject], services.ledger.today())
    if tokens := used[subject].tokens:
        lines += ["", texts.other_key_usage(tokens, is_bot_key=True)]
    return lines


async def _bot_key_usage(request: CommandRequest, key_id: str) -> list[str]:
    services, person = request.services, request.person_key
    since = services.ledger.day_start()
    used = await services.store.read(usage_since, person, since)
    quotas = await services.ledger.get_quotas(key_id, [usage.model for usage in used])
    rows = [
        _row(services, u.model, u.tokens, u.answers, quotas[u.model], is_shared=True)
        for u in used
        if u.tokens or u.answers
    ]
    lines = texts.personal_usage(rows, on_personal_key=False)
    personal_key_usage = await services.store.read(usage_since, person, since, is_personal_key=True)
    if tokens := sum(usage.tokens for usage in personal_key_usage):
        lines += ["", texts.other_key_usage(tokens, is_bot_key=False)]
    allowances = await services.ledger.get_allowances(usage_subjects(request.incoming))
    return [*lines, *([""] if allowances else []), *map(texts.allowance, allowances)]


def _row(services: Services, model: str, tokens: int, answers: int, quota: QuotaStatus, *, is_shared: bool) -> str:
    name = services.models.display_name(model)
    return texts.usage_row(name, tokens, answers, quota, is_shared=is_shared)


async def _total_usage(services: Services) -> list[str]:
    quotas = await services.ledger.get_quotas(services.api_keys.bot_key.key_id, [])
    rows = [
        texts.total_usage_row(services.models.display_name(model), quota)
        for model, quota in _most_used_first(quotas)
        if quota.usage.tokens or quota.usage.is_exhausted
    ]
    return texts.total_usage(rows, await services.ledger.personal_key_tokens())


def _most_used_first(quotas: Mapping[str, QuotaStatus]) -> list[tuple[str, QuotaStatus]]:
    return sorted(quotas.items(), key=lambda item: -item[1].usage.tokens)
