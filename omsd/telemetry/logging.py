"""How the daemon and its workers log: one line per event, JSON off a terminal, and no secret in any of them.

Fixed keys: ts, level, logger, event; request_id and task_id where bind_log_context() or a caller gives them.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Literal, TextIO

# structlog loads rich, where it finds it, for coloured tracebacks that are not written here: a fifth of the start of each process.
# None is what the import system takes for "not there".
sys.modules.setdefault("rich", None)  # type: ignore[arg-type]  # the stubs know modules only
import structlog  # noqa: E402 - after the line above
from structlog.typing import Processor  # noqa: E402 - likewise

if sys.modules.get("rich") is None:
    del sys.modules["rich"]

LogFormat = Literal["auto", "json", "text"]
MASK = "***"
AUDIT_LOGGER = "omsd.audit"

_SECRET_KEY = re.compile(
    r"(^|[_-])(ak|sk|access_?key(_?id)?|secret\w*|password|passwd|token|authorization|signature|credentials?"
    r"|json_auth_file|authentication_key|private_key)$",
    re.IGNORECASE,
)
# Presigned URLs and headers that a library may put into its own messages.
_SECRET_TEXT = re.compile(
    r"(?i)((?:x-amz-(?:signature|credential|security-token)|signature|awsaccesskeyid)=)[^&\s\"']+"
    r"|(authorization['\"]?\s*[:=]\s*)[^\r\n]+|(://)[^/\s:@]+:[^/\s@]+@"
)


def setup_logging(level: str, log_format: LogFormat = "auto", stream: TextIO | None = None) -> None:
    """Every log line of this process, also a library's, goes to the stream (stderr). May be repeated."""
    out = stream if stream is not None else sys.stderr
    as_text = log_format == "text" or (log_format == "auto" and out.isatty())
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="ts"),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=_last_steps(as_text, out))
    )
    root = logging.getLogger()
    for old in [
        old for old in root.handlers if isinstance(old.formatter, structlog.stdlib.ProcessorFormatter)
    ]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level.upper())
    # Who changed what is wanted also where the rest is not.
    logging.getLogger(AUDIT_LOGGER).setLevel(logging.INFO)
    for chatty in ("botocore", "aiobotocore", "asyncio", "grpc", "aiosqlite", "aiohttp"):
        # Below warning these log per request, with headers.
        logging.getLogger(chatty).setLevel(logging.WARNING)


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """The logger of a room, named like its module."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger


def debug_switch(name: str) -> Callable[[], bool]:
    """Tells whether lines at debug of this logger are written: where thousands are not, even making them costs."""
    return partial(logging.getLogger(name).isEnabledFor, logging.DEBUG)


def bind_log_context(**values: str | int) -> AbstractContextManager[None]:
    """Inside the block every line of this asyncio task carries the values (request_id, task_id, ...)."""
    return structlog.contextvars.bound_contextvars(**values)


def redact(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Values under secret names, at any depth, and secrets inside texts are masked."""
    for key, value in event.items():
        event[key] = MASK if _SECRET_KEY.search(key) else _redacted(value)
    return event


def _redacted(value: object) -> object:
    match value:
        case str():
            return _SECRET_TEXT.sub(
                lambda found: (found[1] or found[2] or found[3]) + MASK + _tail(found), value
            )
        case Mapping():
            return {
                key: MASK if _SECRET_KEY.search(str(key)) else _redacted(item) for key, item in value.items()
            }
        case list() | tuple() | set() | frozenset():
            return [_redacted(item) for item in value]
        case _:
            return value


def _tail(found: re.Match[str]) -> str:
    return "@" if found[3] else ""


def _last_steps(as_text: bool, out: TextIO) -> Sequence[Processor]:
    if as_text:
        renderer: Processor = structlog.dev.ConsoleRenderer(
            colors=out.isatty(), timestamp_key="ts", exception_formatter=structlog.dev.plain_traceback
        )
    else:
        renderer = structlog.processors.JSONRenderer(default=str, ensure_ascii=False)
    return [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        structlog.processors.format_exc_info,
        redact,
        renderer,
    ]
