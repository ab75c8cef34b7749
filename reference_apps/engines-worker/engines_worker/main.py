"""Entry point: `python -m engines_worker.main`. Runs until SIGTERM or SIGINT."""

import logging
import os
import signal
import sys
import threading

from redis import Redis
from redis.exceptions import RedisError
from reference_common.logs import configure_logging
from sqlalchemy import create_engine

from engines_worker.settings import Settings, load_settings
from engines_worker.worker import Worker

CONNECT_TIMEOUT_S = 5
READ_MARGIN_S = 10
"""Seconds beyond the blocking read after which Redis counts as hanging."""

logger = logging.getLogger("engines_worker")


def open_worker(settings: Settings) -> Worker:
    """Make a worker; nothing connects before its first use."""
    engine = create_engine(
        settings.database_url.get_secret_value(),
        pool_size=2,  # the main loop's and the reclaim thread's
        max_overflow=0,
        pool_pre_ping=True,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S},
    )
    redis = Redis.from_url(
        settings.redis_url.get_secret_value(),
        socket_timeout=settings.engines_block_ms / 1000 + READ_MARGIN_S,
    )
    return Worker(engine=engine, redis=redis, settings=settings)


def main() -> int:
    """Run the worker; ends with 1 when settings are wrong, Redis is down at start, or the reclaiming thread died."""
    settings = load_settings(os.environ)
    configure_logging("engines")
    stop, asked = threading.Event(), threading.Event()

    def end(*_: object) -> None:
        asked.set()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    worker = open_worker(settings)
    try:
        worker.make_group()
    except RedisError as error:
        logger.error("redis: %s", error)  # noqa: TRY400 - the cause says all; a traceback would bury it
        return 1
    reclaimer = threading.Thread(target=worker.reclaim_until, args=(stop,), name="reclaim", daemon=True)
    reclaimer.start()
    logger.info("worker started as %s", settings.engines_consumer_name)
    worker.run(stop)
    reclaimer.join(timeout=CONNECT_TIMEOUT_S)
    if not asked.is_set():
        logger.error("the reclaiming thread ended by itself")
        return 1
    logger.info("worker stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
