"""Logs as JSON lines (or text for people), each with the trace id and what the work in hand is about."""

import logging
import sys
from typing import Literal

from corelib.tracing import EVENT, trace_id

# structlog loads rich where it finds it, for tracebacks in colours that no service prints: a tenth of what importing a
# service takes, and 8 MB. `corelib.main` imports this module before all that import structlog.
_HIDDEN = {"rich"} - sys.modules.keys()
sys.modules.update(dict.fromkeys(_HIDDEN))  # type: ignore[arg-type]  # None is how Python marks what must not be found
import structlog  # noqa: E402 -- see above

for _name in _HIDDEN:
    del sys.modules[_name]

get_logger = structlog.get_logger


def configure(*, service: str, level: str = "info", form: Literal["json", "text"] = "json") -> None:
    """Send structlog's and the standard library's logs to standard output in one form."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _name_work,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )

    def name_service(
        _: structlog.typing.WrappedLogger, __: str, event: structlog.typing.EventDict
    ) -> structlog.typing.EventDict:
        event.setdefault("service", service)
        return event

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[name_service, structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for noisy in ("aiokafka", "botocore", "aiobotocore", "aiohttp.access"):
        logging.getLogger(noisy).setLevel("WARNING")


def _name_work(
    _: structlog.typing.WrappedLogger, __: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Name the trace and the event in hand."""
    if (trace := trace_id()) is not None:
        event["trace_id"] = trace
    if (envelope := EVENT.get()) is not None:
        event.update(event_id=str(envelope.id), event_type=envelope.type, event_key=envelope.key)
    return event
