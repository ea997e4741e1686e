"""/usage: what a person used today and, for operators, everybody."""

from core.commands.asking import Asking, bar
from core.commands.reply import Reply
from core.conversation.accounts import Account
from core.conversation.ledger import Quota, span
from core.conversation.resources import Resources
from core.conversation.scope import allowance_subjects, person_key
from core.store.conversations import is_operator
from core.store.database import Store
from core.store.spending import allowance
from core.store.turns import usage_today

__all__ = ["Usage"]


class Usage:
    def __init__(self, store: Store, with_: Resources) -> None:
        self._store = store
        self._with = with_

    async def usage(self, asking: Asking) -> Reply:
        ledger = self._with.ledger
        person = person_key(asking.incoming.sender)
        account = await self._with.accounts.of(person)
        lines = await (self._own(account, asking) if account.own else self._house(account, asking))
        lines += ["", f"The day ends in {span(ledger.resets_in())}."]
        sender = asking.incoming.sender
        if await self._store.read(is_operator, sender.platform, sender.user):
            lines += await self._everybody()
        return Reply("\n".join(lines))

    async def _own(self, account: Account, asking: Asking) -> list[str]:
        """What went over a person's own key, and what did before they gave it."""
        quotas = await self._with.ledger.quotas(account.name, [])
        rows = [
            self._row(model, quota.spent.tokens, quota.spent.requests, quota, "")
            for model, quota in sorted(quotas.items(), key=lambda item: -item[1].spent.tokens)
            if quota.spent.tokens
        ]
        lines = ["You have used no tokens on your own key today."]
        if rows:
            lines = ["What you used today on your own key, in tokens:", "", "```", *rows, "```"]
        subject = allowance_subjects(asking.incoming)[0]
        used = await self._store.read(allowance, [subject], self._with.ledger.today())
        if tokens := used[subject][0]:
            lines += ["", f"On the bot's key you used {tokens:,} tokens today."]
        return lines

    async def _house(self, account: Account, asking: Asking) -> list[str]:
        person, ledger = person_key(asking.incoming.sender), self._with.ledger
        used = await self._store.read(usage_today, person, ledger.day_began())
        own = await self._store.read(usage_today, person, ledger.day_began(), own_key=True)
        lines = ["You have used no tokens today."]
        if used:
            quotas = await ledger.quotas(account.name, [model for model, _, _ in used])
            rows = [
                self._row(model, tokens, answers, quotas[model], " for all")
                for model, tokens, answers in used
            ]
            lines = ["What you used today, in tokens:", "", "```", *rows, "```"]
        if own:
            tokens = sum(tokens for _, tokens, _ in own)
            lines += ["", f"On your own key you used {tokens:,} tokens today."]
        return lines + await self._bounds(asking)

    def _row(self, model: str, tokens: int, answers: int, quota: Quota, whom: str) -> str:
        left = "" if quota.left is None else f", {quota.left:,} left{whom}"
        name = self._with.models.name(model)
        asked = f"{answers} answer{'s' * (answers > 1)}"
        return f"{bar(quota.share)} {tokens:>9,}  {name} ({asked}{left})"

    async def _bounds(self, asking: Asking) -> list[str]:
        settings = self._with.settings
        subjects = allowance_subjects(asking.incoming)
        used = await self._store.read(allowance, subjects, self._with.ledger.today())
        limits = (
            ("You", settings.person_tokens, settings.person_messages),
            ("This chat", settings.chat_tokens, settings.chat_messages),
        )
        lines = []
        for subject, (whose, tokens, messages) in zip(subjects, limits, strict=False):
            if tokens:
                lines.append(f"{whose}: {used[subject][0]:,} of {tokens:,} tokens.")
            if messages:
                lines.append(f"{whose}: {used[subject][1]:,} of {messages:,} questions.")
        return ["", *lines] if lines else []

    async def _everybody(self) -> list[str]:
        house = self._with.accounts.house.name
        quotas = await self._with.ledger.quotas(house, [])
        rows = [
            f"{bar(quota.share)} {quota.spent.tokens:>9,}  {self._with.models.name(model)}"
            + ("" if quota.limit is None else f" of {quota.limit:,}")
            for model, quota in sorted(quotas.items(), key=lambda item: -item[1].spent.tokens)
            if quota.spent.tokens or quota.spent.exhausted
        ]
        lines = ["", "Everybody, on the bot's key:", "", "```", *rows, "```"] if rows else []
        if elsewhere := await self._with.ledger.elsewhere():
            lines += ["", f"Apart from that, on people's own keys: {elsewhere:,} tokens."]
        return lines
