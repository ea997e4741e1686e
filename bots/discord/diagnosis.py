"""Discord's checks of `parley doctor`: the token, intents, where interactions go, servers and the session limit."""

from urllib.parse import urlsplit

from bots.discord.errors import FATAL_CLOSE_CODES, TOKEN_REJECTED_TEXT, DiscordApiError, describe_connection_error
from bots.discord.gateway_supervisor import RESERVED_SESSIONS, remaining_sessions
from bots.discord.http_client import HttpClient, Json
from bots.discord.settings import DiscordSettings
from bots.discord.timings import DiscordTimings
from core.diagnosis.finding import Finding, error, ok, unavailable, warning
from core.errors import ConfigurationError, DeliveryError

MESSAGE_CONTENT_FLAGS = 1 << 18 | 1 << 19
"""GATEWAY_MESSAGE_CONTENT, and GATEWAY_MESSAGE_CONTENT_LIMITED of bots in fewer than 100 servers."""
DISALLOWED_INTENTS = 4014


async def diagnose_discord(settings: DiscordSettings, timings: DiscordTimings = DiscordTimings()) -> list[Finding]:
    if settings.token is None:
        return []
    http = HttpClient(settings.token.get_secret_value(), settings.api_base, timings)
    try:
        application = await http.call("GET", "/applications/@me")
        gateway = await http.call("GET", "/gateway/bot")
    except ConfigurationError:
        return [_rejected_token()]
    except DeliveryError as failure:
        if isinstance(failure, DiscordApiError) and failure.status == 401:
            return [_rejected_token()]
        reason = describe_connection_error(failure.__cause__ or failure)
        text = f"Discord does not answer ({urlsplit(settings.api_base).netloc}): {reason}."
        return [unavailable("discord.token", text, "Check the network, HTTPS_PROXY and DISCORD_API_BASE.")]
    finally:
        await http.close()
    return [
        ok("discord.token", f"The bot is {application.get('name')} ({application.get('id')})."),
        _check_intents(settings, application),
        _check_interactions(application),
        _check_servers(application),
        _check_sessions(gateway),
    ]


def _rejected_token() -> Finding:
    problem, _, advice = TOKEN_REJECTED_TEXT.partition(". ")
    return error("discord.token", f"{problem}.", advice)


def _check_intents(settings: DiscordSettings, application: Json) -> Finding:
    flags = application.get("flags")
    is_granted = isinstance(flags, int) and bool(flags & MESSAGE_CONTENT_FLAGS)
    if settings.message_content and not is_granted:
        problem, _, advice = FATAL_CLOSE_CODES[DISALLOWED_INTENTS].partition(". ")
        return error("discord.intents", f"{problem}.", advice)
    if settings.message_content:
        return ok("discord.intents", "The message content intent is granted.")
    return ok("discord.intents", "The bot asks for no privileged intent: it sees mentions, commands and its own chats.")


def _check_interactions(application: Json) -> Finding:
    if url := application.get("interactions_endpoint_url"):
        text = f"Discord sends commands and buttons to {urlsplit(str(url)).netloc} instead of the bot."
        return error("discord.interactions", text, "Clear the interactions endpoint URL in the developer portal.")
    return ok("discord.interactions", "Commands and buttons come through the gateway.")


def _check_servers(application: Json) -> Finding:
    count = application.get("approximate_guild_count")
    if count == 0:
        url = f"https://discord.com/oauth2/authorize?client_id={application.get('id')}&scope=bot+applications.commands"
        return warning("discord.servers", "The bot is on no server.", f"Invite it: {url}")
    return ok("discord.servers", f"The bot is on {count} servers.")


def _check_sessions(gateway: Json) -> Finding:
    remaining = remaining_sessions(gateway)
    if remaining is not None and remaining <= RESERVED_SESSIONS:
        text = f"Discord allows only {remaining} more starts of the bot today."
        return warning("discord.sessions", text, "Look in the log for why the bot starts so often, and wait.")
    return ok("discord.sessions", f"Discord allows {remaining} more starts of the bot today.")
