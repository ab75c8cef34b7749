"""Entry point: `python -m outbox_relay.main`. Runs until SIGTERM or SIGINT, and ends between two rounds."""

import logging
import os
import signal
import sys
import threading

from redis import Redis
from redis.exceptions import RedisError
from reference_common.logs import configure_logging
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from outbox_relay.relay import Relay
from outbox_relay.settings import Settings, load_settings

BACKOFF_FACTOR = 1.5
BACKOFF_STEPS = 5
MAX_PAUSE_S = 30.0
CONNECT_TIMEOUT_S = 5
# A round holds row locks while it sends; a Redis that hangs must not hold them for ever.
REDIS_TIMEOUT_S = 10

logger = logging.getLogger("outbox_relay")


def pause_s(settings: Settings, empty_rounds: int) -> float:
    """Seconds until the next round: short after work, else growing with each empty round, 30 at most."""
    if empty_rounds == 0:
        return settings.relay_poll_interval_busy
    steps = min(empty_rounds - 1, BACKOFF_STEPS)
    return min(settings.relay_poll_interval_empty * BACKOFF_FACTOR**steps, MAX_PAUSE_S)


def run(relay: Relay, settings: Settings, stop: threading.Event) -> None:
    """Relay until `stop` is set, whatever happens. A failed round counts as an empty one."""
    empty_rounds = 0
    while not stop.is_set():
        try:
            sent = relay.round()
        except SQLAlchemyError as error:
            logger.warning("database: %s", type(error).__name__)
            sent = 0
        except Exception:
            logger.exception("this round failed; the next one comes")
            sent = 0
        if sent:
            logger.info("%d events are sent or set aside", sent)
        empty_rounds = 0 if sent else empty_rounds + 1
        stop.wait(pause_s(settings, empty_rounds))


def main() -> int:
    """Run the relay; ends with 1 when settings are wrong or Redis is down at start."""
    settings = load_settings(os.environ)
    configure_logging("relay")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    engine = create_engine(
        settings.database_url.get_secret_value(),
        pool_size=1,
        pool_pre_ping=True,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S},
    )
    redis = Redis.from_url(settings.redis_url.get_secret_value(), decode_responses=True, socket_timeout=REDIS_TIMEOUT_S)
    relay = Relay(
        engine=engine, redis=redis, batch_size=settings.relay_batch_size, max_len=settings.relay_stream_max_len
    )
    try:
        relay.make_group()
    except RedisError as error:
        logger.error("redis: %s", error)  # noqa: TRY400 - the cause says all; a traceback would bury it
        return 1
    logger.info("relay started")
    run(relay, settings, stop)
    logger.info("relay stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
