"""Logging to standard output and to `logs/app.log` under the working directory (`/app` in the image)."""

import logging
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

LOG_FILE = Path("logs/app.log")
LOG_FILE_MAX_BYTES = 10 * 1024 * 1024
LOG_FILE_BACKUPS = 5
LINE = "%(asctime)s - %(name)s - %(levelname)s - %(message)s - %(pathname)s:%(lineno)d"


def configure_logging(application: str) -> None:
    """Send every record of the process, the server's too, to both places in one format.

    Raises SystemExit with one line that begins with the application's name when the file cannot be written.
    """
    try:
        LOG_FILE.parent.mkdir(parents=True, exist_ok=True)
        file = RotatingFileHandler(LOG_FILE, maxBytes=LOG_FILE_MAX_BYTES, backupCount=LOG_FILE_BACKUPS)
    except OSError as error:
        problem = f"{application}: {LOG_FILE}: {error.strerror}"
        raise SystemExit(f"{problem}\nhint: mount a writable directory there") from None
    logging.basicConfig(level=logging.INFO, format=LINE, handlers=[logging.StreamHandler(sys.stdout), file], force=True)
    # uvicorn installs handlers of its own before it imports the application; without this its
    # lines would come in another format and would not reach the file.
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
