"""The settings of the worker."""

import os
import socket
from collections.abc import Mapping

from pydantic import Field, PositiveInt, SecretStr
from reference_common.settings import RequiredSettings, load


def _default_consumer() -> str:
    return f"engines-{socket.gethostname()}-{os.getpid()}"


class Settings(RequiredSettings):
    """Defaults are the contract's."""

    redis_url: SecretStr = SecretStr("redis://localhost:6379/0")
    engines_stream_name: str = "events:materials"
    engines_group_name: str = "engines"
    # A stable name is better: what a killed worker had taken is then still its own.
    engines_consumer_name: str = Field(default_factory=_default_consumer)
    # Messages of one read.
    engines_batch_size: PositiveInt = 10
    # Milliseconds that a read waits for a message.
    engines_block_ms: PositiveInt = 5000
    # Seconds between two looks at what other workers, or this one before a crash, left unfinished.
    engines_reclaim_interval: PositiveInt = 60
    # Milliseconds after which an unfinished message is taken over.
    engines_reclaim_idle_ms: PositiveInt = 60_000


def load_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings; see `reference_common.settings.load`."""
    return load(Settings, "engines", environment)
