"""What strangers are told, and how operators decide on their requests (`core.turns.access_requests`).

These are the replies to internal commands, whose turns the bot opens itself. A person who types one reads only what
they may see anyway.
"""

from core.buttons import ButtonAction, ButtonPress, encode_action
from core.commands.request import CommandRequest, Reply
from core.i18n.translation import gettext
from core.port import Button
from core.store.access_requests import Decision, PendingRequests, decide_request, list_pending
from core.store.grants import has_operator, is_operator
from core.texts import access as texts
from core.texts import answers

DENIED_COMMAND = "access_denied"
REQUESTS_COMMAND = "access_requests"
WELCOME_COMMAND = "access_granted"
MAX_SHOWN_REQUESTS = 3
"""In one message. A decision brings up the next ones."""

DECISIONS = {ButtonAction.APPROVE: Decision.APPROVED, ButtonAction.REFUSE: Decision.REFUSED}


async def denied_reply(request: CommandRequest) -> Reply:
    has_asked = await request.services.store.read(has_operator)
    return Reply(gettext(texts.ACCESS_REQUESTED if has_asked else answers.ACCESS_DENIED))


async def requests_reply(request: CommandRequest) -> Reply | None:
    """All requests that wait for a decision; None for people who may not decide."""
    if not await _may_decide(request):
        return None
    return _panel(await _pending(request), gettext(texts.NO_REQUESTS))


async def decide(request: CommandRequest, press: ButtonPress) -> Reply | None:
    """Store the operator's decision. The message then shows what else waits."""
    if not await _may_decide(request):
        return None
    operator = request.incoming.sender
    decision = DECISIONS[press.action]
    store = request.services.store
    delay = request.services.timings.denial_cache_lifetime
    asked = await store.write(decide_request, press.argument, decision, operator, WELCOME_COMMAND, delay)
    if asked is None:
        outcome = gettext(texts.REQUEST_EXPIRED)
    elif asked.decision is not None:
        outcome = texts.request_already_decided(
            asked.name, asked.decided_by, is_approved=asked.decision is Decision.APPROVED
        )
    else:
        outcome = texts.request_decided(asked.name, is_approved=decision is Decision.APPROVED)
    return _panel(await _pending(request), outcome, edits_message=True)


async def _may_decide(request: CommandRequest) -> bool:
    """Not by the cached grants: an operator's rights end at once."""
    sender = request.incoming.sender
    return await request.services.store.read(is_operator, sender.platform, sender.user)


async def _pending(request: CommandRequest) -> PendingRequests:
    return await request.services.store.read(list_pending, MAX_SHOWN_REQUESTS)


def _panel(pending: PendingRequests, outcome: str, *, edits_message: bool = False) -> Reply:
    """The oldest requests with their buttons; `outcome` above them if a request was decided, or if there are none."""
    if not pending.oldest:
        return Reply(outcome, edits_message=edits_message)
    entries = [(asked.name, asked.subject) for asked in pending.oldest]
    text = texts.pending_requests(entries, pending.count)
    is_single = len(entries) == 1
    labels = (
        (gettext(texts.APPROVE_BUTTON), ButtonAction.APPROVE),
        (gettext(texts.DECLINE_BUTTON), ButtonAction.REFUSE),
    )
    buttons = [
        Button(
            label if is_single else f"{label} {number}",
            encode_action(action, asked.subject),
            is_destructive=action is ButtonAction.REFUSE,
        )
        for label, action in labels
        for number, asked in enumerate(pending.oldest, 1)
    ]
    return Reply(f"{outcome}\n\n{text}" if edits_message else text, tuple(buttons), edits_message=edits_message)
