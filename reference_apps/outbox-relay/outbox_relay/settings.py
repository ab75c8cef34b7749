"""The settings of the relay."""

from collections.abc import Mapping

from pydantic import NonNegativeInt, PositiveFloat, PositiveInt, SecretStr
from reference_common.settings import RequiredSettings, load


class Settings(RequiredSettings):
    """Defaults are the contract's."""

    redis_url: SecretStr = SecretStr("redis://localhost:6379/0")
    # Rows of one round.
    relay_batch_size: PositiveInt = 100
    # Seconds; base of the back-off when there is nothing to send.
    relay_poll_interval_empty: PositiveFloat = 5.0
    # Seconds after a round that sent something.
    relay_poll_interval_busy: PositiveFloat = 0.1
    # Entries that the stream keeps, approximately; 0 keeps all.
    relay_stream_max_len: NonNegativeInt = 100_000


def load_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings; see `reference_common.settings.load`."""
    return load(Settings, "relay", environment)
