"""/usage: what a person used today and, for operators, everybody."""

from core.commands.reply import Reply
from core.commands.request import CommandRequest, progress_bar
from core.conversation.api_keys import ApiKey
from core.conversation.ledger import QuotaStatus, format_duration
from core.conversation.turn_services import TurnServices
from core.scopes import person_key, usage_subjects
from core.store.database import Store
from core.store.grants import is_operator
from core.store.token_usage import get_daily_usage, usage_since

__all__ = ["UsageCommand"]


class UsageCommand:
    def __init__(self, store: Store, services: TurnServices) -> None:
        self._store = store
        self._services = services

    async def handle(self, request: CommandRequest) -> Reply:
        ledger = self._services.ledger
        person = person_key(request.incoming.sender)
        account = await self._services.api_keys.for_person(person)
        lines = await (
            self._personal_key_usage(account, request) if account.is_personal else self._bot_key_usage(account, request)
        )
        lines += ["", f"The day ends in {format_duration(ledger.seconds_until_reset())}."]
        sender = request.incoming.sender
        if await self._store.read(is_operator, sender.platform, sender.user):
            lines += await self._total_usage()
        return Reply("\n".join(lines))

    async def _personal_key_usage(self, account: ApiKey, request: CommandRequest) -> list[str]:
        """What went over a person's own key, and what did before they gave it."""
        quotas = await self._services.ledger.get_quotas(account.key_id, [])
        rows = [
            self._row(model, quota.usage.tokens, quota.usage.requests, quota, "")
            for model, quota in sorted(quotas.items(), key=lambda item: -item[1].usage.tokens)
            if quota.usage.tokens
        ]
        lines = ["You have used no tokens on your own key today."]
        if rows:
            lines = ["What you used today on your own key, in tokens:", "", "```", *rows, "```"]
        subject = usage_subjects(request.incoming)[0]
        used = await self._store.read(get_daily_usage, [subject], self._services.ledger.today())
        if tokens := used[subject].tokens:
            lines += ["", f"On the bot's key you used {tokens:,} tokens today."]
        return lines

    async def _bot_key_usage(self, account: ApiKey, request: CommandRequest) -> list[str]:
        person, ledger = person_key(request.incoming.sender), self._services.ledger
        used = await self._store.read(usage_since, person, ledger.day_start())
        personal_key_usage = await self._store.read(usage_since, person, ledger.day_start(), is_personal_key=True)
        lines = ["You have used no tokens today."]
        if used:
            quotas = await ledger.get_quotas(account.key_id, [usage.model for usage in used])
            rows = [
                self._row(usage.model, usage.tokens, usage.answers, quotas[usage.model], " for all") for usage in used
            ]
            lines = ["What you used today, in tokens:", "", "```", *rows, "```"]
        if personal_key_usage:
            tokens = sum(usage.tokens for usage in personal_key_usage)
            lines += ["", f"On your own key you used {tokens:,} tokens today."]
        return lines + await self._allowances(request)

    def _row(self, model: str, tokens: int, answer_count: int, quota: QuotaStatus, remaining_suffix: str) -> str:
        remaining = "" if quota.remaining is None else f", {quota.remaining:,} left{remaining_suffix}"
        name = self._services.registry.display_name(model)
        answer_text = f"{answer_count} answer{'s' * (answer_count > 1)}"
        return f"{progress_bar(quota.used_fraction)} {tokens:>9,}  {name} ({answer_text}{remaining})"

    async def _allowances(self, request: CommandRequest) -> list[str]:
        settings = self._services.settings
        subjects = usage_subjects(request.incoming)
        used = await self._store.read(get_daily_usage, subjects, self._services.ledger.today())
        limits = (
            ("You", settings.person_tokens, settings.person_messages),
            ("This chat", settings.chat_tokens, settings.chat_messages),
        )
        lines = []
        for subject, (whose, tokens, messages) in zip(subjects, limits, strict=False):
            if tokens:
                lines.append(f"{whose}: {used[subject].tokens:,} of {tokens:,} tokens.")
            if messages:
                lines.append(f"{whose}: {used[subject].questions:,} of {messages:,} questions.")
        return ["", *lines] if lines else []

    async def _total_usage(self) -> list[str]:
        bot_account = self._services.api_keys.bot_key.key_id
        quotas = await self._services.ledger.get_quotas(bot_account, [])
        rows = [
            f"{progress_bar(quota.used_fraction)} {quota.usage.tokens:>9,}  "
            f"{self._services.registry.display_name(model)}" + ("" if quota.limit is None else f" of {quota.limit:,}")
            for model, quota in sorted(quotas.items(), key=lambda item: -item[1].usage.tokens)
            if quota.usage.tokens or quota.usage.is_exhausted
        ]
        lines = ["", "Everybody, on the bot's key:", "", "```", *rows, "```"] if rows else []
        if personal_key_tokens := await self._services.ledger.personal_key_tokens():
            lines += ["", f"Apart from that, on people's own keys: {personal_key_tokens:,} tokens."]
        return lines
