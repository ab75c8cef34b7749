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
        decode_responses=True,
        socket_timeout=settings.engines_block_ms / 1000 + READ_MARGIN_S,
    )
    return Worker(engine=engine, redis=redis, settings=settings)


def main() -> int:
    """Run the worker; ends with 1 when settings are wrong or Redis is down at start."""
    settings = load_settings(os.environ)
    configure_logging("engines")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    worker = open_worker(settings)
    try:
        worker.make_group()
        # What a killed worker had taken comes back here, or at a later look once it has been idle for long enough.
        worker.reclaim()
    except RedisError as error:
        logger.error("redis: %s", error)  # noqa: TRY400 - the cause says all; a traceback would bury it
        return 1
    reclaimer = threading.Thread(target=worker.reclaim_until, args=(stop,), name="reclaim", daemon=True)
    reclaimer.start()
    logger.info("worker started as %s", settings.engines_consumer_name)
    worker.run(stop)
    reclaimer.join(timeout=CONNECT_TIMEOUT_S)
    logger.info("worker stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
