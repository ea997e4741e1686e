"""Which of a platform's dialects writes a model's texts."""

from core.port import Adapter, Dialect, RichMode, SupportsModelDialect, SupportsRichMessages


def model_dialect(adapter: Adapter) -> Dialect:
    """For plain messages."""
    return adapter.model_dialect if isinstance(adapter, SupportsModelDialect) else adapter.dialect


def answer_dialect(adapter: Adapter, mode: RichMode | None) -> Dialect:
    """Rich messages where the platform has them. `mode`: see `SupportsRichMessages`."""
    return adapter.answer_dialect(mode) if isinstance(adapter, SupportsRichMessages) else model_dialect(adapter)
