"""Sends traces of turns to the collector in `PARLEY_TRACES_URL`, if the extra `tracing` is installed."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext

from core.errors import ConfigurationError
from core.settings import Settings
from core.tracing import NO_TRACER, Tracer


def exporting_traces(settings: Settings) -> AbstractAsyncContextManager[Tracer]:
    """The tracer; sends the last traces when the context ends. Raises `ConfigurationError`."""
    if settings.traces_url is None:
        return nullcontext(NO_TRACER)
    return load_exporter()(settings.traces_url)


def load_exporter() -> Callable[[str], AbstractAsyncContextManager[Tracer]]:
    """Raises `ConfigurationError` if a package is missing."""
    try:
        from core import opentelemetry_tracer
    except ImportError as error:
        text = f"PARLEY_TRACES_URL needs the package {error.name}: install parley[tracing]."
        raise ConfigurationError(text) from error
    return opentelemetry_tracer.exporting_traces
