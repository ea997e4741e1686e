"""/usage: the tokens that a person used today and, for operators, everyone."""

from collections.abc import Mapping

from core.commands.reply import Reply
from core.commands.request import CommandRequest
from core.conversation.api_keys import ApiKey
from core.conversation.ledger import QuotaStatus
from core.conversation.turn_services import TurnServices
from core.scopes import person_key, usage_subjects
from core.store.database import Store
from core.store.grants import is_operator
from core.store.token_usage import get_daily_usage, usage_since
from core.texts import usage as texts

__all__ = ["UsageCommand"]


class UsageCommand:
    def __init__(self, store: Store, services: TurnServices) -> None:
        self._store = store
        self._settings = services.settings
        self._registry = services.registry
        self._api_keys = services.api_keys
        self._ledger = services.ledger

    async def handle(self, request: CommandRequest) -> Reply:
        sender = request.incoming.sender
        api_key = await self._api_keys.for_person(person_key(sender))
        usage = self._personal_key_usage if api_key.is_personal else self._bot_key_usage
        lines = await usage(api_key, request)
        lines += ["", texts.quotas_reset(self._ledger.seconds_until_reset())]
        if await self._store.read(is_operator, sender.platform, sender.user):
            lines += await self._total_usage()
        return Reply("\n".join(lines))

    async def _personal_key_usage(self, api_key: ApiKey, request: CommandRequest) -> list[str]:
        quotas = await self._ledger.get_quotas(api_key.key_id, [])
        rows = [
            self._row(model, quota.usage.tokens, quota.usage.requests, quota, is_shared=False)
            for model, quota in _most_used_first(quotas)
            if quota.usage.tokens
        ]
        lines = texts.personal_usage(rows, on_personal_key=True)
        subject = usage_subjects(request.incoming)[0]
        used = await self._store.read(get_daily_usage, [subject], self._ledger.today())
        if tokens := used[subject].tokens:
            lines += ["", texts.other_key_usage(tokens, is_bot_key=True)]
        return lines

    async def _bot_key_usage(self, api_key: ApiKey, request: CommandRequest) -> list[str]:
        person, since = person_key(request.incoming.sender), self._ledger.day_start()
        used = await self._store.read(usage_since, person, since)
        quotas = await self._ledger.get_quotas(api_key.key_id, [usage.model for usage in used])
        rows = [self._row(u.model, u.tokens, u.answers, quotas[u.model], is_shared=True) for u in used]
        lines = texts.personal_usage(rows, on_personal_key=False)
        personal_key_usage = await self._store.read(usage_since, person, since, is_personal_key=True)
        if tokens := sum(usage.tokens for usage in personal_key_usage):
            lines += ["", texts.other_key_usage(tokens, is_bot_key=False)]
        return lines + await self._allowances(request)

    def _row(self, model: str, tokens: int, answers: int, quota: QuotaStatus, *, is_shared: bool) -> str:
        name = self._registry.display_name(model)
        return texts.usage_row(name, tokens, answers, quota.used_fraction, quota.remaining, is_shared=is_shared)

    async def _allowances(self, request: CommandRequest) -> list[str]:
        settings = self._settings
        subjects = usage_subjects(request.incoming)
        used = await self._store.read(get_daily_usage, subjects, self._ledger.today())
        limits = (
            (settings.person_tokens, settings.person_messages),
            (settings.chat_tokens, settings.chat_messages),
        )
        lines = []
        for subject, (max_tokens, max_questions) in zip(subjects, limits, strict=False):
            is_chat, usage = subject != subjects[0], used[subject]
            if max_tokens:
                lines.append(texts.allowance(usage.tokens, max_tokens, "tokens", is_chat=is_chat))
            if max_questions:
                lines.append(texts.allowance(usage.questions, max_questions, "questions", is_chat=is_chat))
        return ["", *lines] if lines else []

    async def _total_usage(self) -> list[str]:
        quotas = await self._ledger.get_quotas(self._api_keys.bot_key.key_id, [])
        rows = [
            texts.total_usage_row(
                self._registry.display_name(model), quota.usage.tokens, quota.used_fraction, quota.limit
            )
            for model, quota in _most_used_first(quotas)
            if quota.usage.tokens or quota.usage.is_exhausted
        ]
        return texts.total_usage(rows, await self._ledger.personal_key_tokens())


def _most_used_first(quotas: Mapping[str, QuotaStatus]) -> list[tuple[str, QuotaStatus]]:
    return sorted(quotas.items(), key=lambda item: -item[1].usage.tokens)
