"""Log lines: ids and lengths, never what people wrote (so no local variables in tracebacks).

Coloured on a terminal, JSON elsewhere.
"""

import logging
import sys

import structlog


def configure_logging(level: str) -> None:
    """Send our log lines and those of the libraries to stderr in one form."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso"),
    ]
    renderer: structlog.typing.Processor = (
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    # These print message text or every frame at their lower levels.
    for name in ("alembic", "httpcore", "httpx", "sqlalchemy", "uvicorn", "websockets"):
        logging.getLogger(name).setLevel(logging.WARNING)
