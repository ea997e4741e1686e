"""Logging to standard error: readable lines on a terminal, one JSON object per line elsewhere.

Logs contain no secrets and no message texts.
"""

import logging
import sys
from enum import Enum
from typing import TextIO

import structlog
from rich.file_proxy import FileProxy

OWN_LOGGERS = ("core", "bots", "__main__")
VERBOSE_LOGGERS = ("httpx", "httpcore", "httpx2", "httpcore2", "openai", "aiohttp", "alembic", "telegram")
"""Libraries whose INFO lines contain URLs; Telegram's URLs contain the token."""


class StderrHandler(logging.StreamHandler[TextIO | FileProxy]):
    """Prints above a live display while there is one."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)
        self._stderr = sys.stderr

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr if isinstance(sys.stderr, FileProxy) else self._stderr
        super().emit(record)


def configure(level: str) -> None:
    """Log lines of `level` and above; libraries log INFO and above at most."""
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
        # The default formatter shows local variables: message texts and keys.
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
    handler = StderrHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=processors,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderer],
        )
    )
    # At DEBUG, libraries log URLs with tokens and every value they store.
    logging.basicConfig(handlers=[handler], level=max(level_number, logging.INFO), force=True)
    for name in OWN_LOGGERS:
        logging.getLogger(name).setLevel(level_number)
    for name in VERBOSE_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)


def _render_enums(_logger: object, _name: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Log an enum member as its value."""
    return {key: value.value if isinstance(value, Enum) else value for key, value in event.items()}
