"""Logs as JSON lines (or text for people), each with the trace id and what the work in hand is about."""

import logging
import math
import sys
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
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

_REPEATED_SECONDS = 60.0
_MOST_KINDS = 256


class Repetitions(logging.Filter):
    """Lets of each kind of a library's lines one a minute through, which says how many were `left_out` since the last.

    A client whose broker is away says so at every attempt, some two hundred times a second. Of one kind is what has a
    logger, level and text before its values, and errors of the same types: the first of each is never left out.
    """

    def __init__(self, *, seconds: float = _REPEATED_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__("aiokafka")
        self._seconds = seconds
        self._clock = clock
        self._kinds: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Say whether a line is to be written."""
        if not super().filter(record):
            return True  # of another library
        kind, now = _kind_of(record), self._clock()
        said, left_out = self._kinds.get(kind, (-math.inf, 0))
        if now - said < self._seconds:
            self._kinds[kind] = (said, left_out + 1)
            return False
        if left_out:
            record.left_out = left_out
        self._kinds[kind] = (now, 0)
        self._kinds.move_to_end(kind)
        while len(self._kinds) > _MOST_KINDS:
            self._kinds.popitem(last=False)
        return True


def _kind_of(record: logging.LogRecord) -> Hashable:
    values = record.args if isinstance(record.args, tuple) else ()
    errors = tuple(type(value) for value in values if isinstance(value, BaseException))
    raised = record.exc_info[0] if record.exc_info else None
    return record.name, record.levelno, str(record.msg), errors, raised


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
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(allow=["left_out"]), *shared],
        )
    )
    handler.addFilter(Repetitions())
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
