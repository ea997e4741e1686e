"""Who may change what holds for everyone in a group or on a server. Everyone may change what holds only for them."""

from dataclasses import replace

from core.commands.declarations import ScopeName
from core.commands.request import CommandRequest, Reply
from core.i18n.translation import gettext
from core.port import Adapter, Incoming, SupportsManagers
from core.scopes import Scope, ScopeKind
from core.settings import SharedSettings
from core.texts import settings as texts

PERSONAL_SCOPES = (ScopeKind.MEMBER, ScopeKind.PERSON)


async def is_manager(adapter: Adapter, incoming: Incoming) -> bool:
    """Whether the sender manages the group or channel of the event."""
    if incoming.sender.is_manager:
        return True
    return isinstance(adapter, SupportsManagers) and await adapter.is_manager(incoming.place, incoming.sender.user)


async def may_change(request: CommandRequest, scope: Scope) -> bool:
    """Whether the sender may change what holds in `scope`."""
    if scope.kind in PERSONAL_SCOPES:
        return True
    if scope.kind is ScopeKind.SERVER:
        return request.incoming.sender.is_server_manager
    if request.incoming.place.is_private or request.services.settings.shared_settings is SharedSettings.EVERYONE:
        return True
    return await is_manager(request.adapter, request.incoming)


async def default_scope(request: CommandRequest) -> Scope:
    """Where a change applies that names no scope: to everyone here if the sender may change that, else to them."""
    here = next(scope for scope in request.preferences.scopes if scope.kind not in PERSONAL_SCOPES)
    if await may_change(request, here):
        return here
    return request.preferences.scopes[0]


async def find_scope(request: CommandRequest, name: ScopeName) -> Scope | Reply:
    """The scope that a person named, or why they cannot change it."""
    if name is ScopeName.HERE:
        return await default_scope(request)
    scope = next((scope for scope in request.preferences.scopes if scope.kind is SCOPE_KINDS[name]), None)
    if scope is None:
        return Reply(gettext(texts.NO_SERVER))
    if scope.kind is ScopeKind.PERSON and request.incoming.sender.is_anonymous:
        return Reply(gettext(texts.ANONYMOUS))
    return scope if await may_change(request, scope) else Reply(texts.managers_only(scope))


async def find_conversation_scope(request: CommandRequest) -> Scope | Reply:
    """Whom a change of the conversation concerns: the sender, or everyone in the chat if the conversation is shared.

    The reply says so if the sender may not change it for everyone.
    """
    preferences = request.preferences
    if preferences.is_shared and not request.incoming.is_confidential:
        return await find_scope(request, ScopeName.CHAT)
    return next(scope for scope in preferences.scopes if scope.kind is ScopeKind.PERSON)


def announce(request: CommandRequest, reply: Reply, scope: Scope) -> Reply:
    """The reply to a change in `scope`. If it concerns others, everyone in the chat sees it, and who made it."""
    incoming = request.incoming
    if incoming.place.is_private or scope.kind in PERSONAL_SCOPES:
        return reply
    text = f"{reply.text}\n{texts.changed_by(incoming.sender.name, scope)}"
    if reply.edits_message and request.capabilities.has_ephemeral_messages:
        return replace(reply, announcement=text)
    return replace(reply, text=text, is_public=True)


SCOPE_KINDS = {ScopeName.ME: ScopeKind.PERSON, ScopeName.CHAT: ScopeKind.CHAT, ScopeName.SERVER: ScopeKind.SERVER}
