"""Logs as one line an event: readable on a terminal, JSON elsewhere. No secret, no message text."""

import logging
import sys
from enum import Enum

import structlog

__all__ = ["configure"]

OWN_LOGGERS = ("core", "bots", "__main__")
VERBOSE_LOGGERS = (
    "httpx",
    "httpcore",
    "httpx2",
    "httpcore2",
    "openai",
    "aiohttp",
    "alembic",
    "telegram",
)


def configure(level: str) -> None:
    """Send the library's and our own lines to standard error."""
    level_number = getattr(logging, level.upper())
    processors: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        _render_enums,
    ]
    renderer: list[structlog.typing.Processor] = (
        # Not the default, which shows local variables: what people wrote, and keys.
        [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
        if sys.stderr.isatty()
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    structlog.configure(
        processors=[*processors, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.make_filtering_bound_logger(level_number),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=processors,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    # What libraries say at DEBUG are addresses with tokens in them, and every value stored.
    logging.basicConfig(handlers=[handler], level=max(level_number, logging.INFO), force=True)
    for name in OWN_LOGGERS:
        logging.getLogger(name).setLevel(level_number)
    for name in VERBOSE_LOGGERS:
        # Their INFO lines carry addresses, and Telegram's carry the token.
        logging.getLogger(name).setLevel(logging.WARNING)


def _render_enums(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """One of a closed list is shown as the word it is."""
    return {key: one.value if isinstance(one, Enum) else one for key, one in event.items()}
