"""The settings of the auth application."""

from collections.abc import Mapping

from pydantic import PositiveInt
from reference_common.settings import load
from reference_common.web import WebSettings


class Settings(WebSettings):
    """What auth reads besides."""

    # Minutes; life of a token and of its cookie.
    access_token_expire_minutes: PositiveInt = 1440
    # Only `production` means anything: the cookie becomes Secure.
    environment: str = "development"


def load_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings; see `reference_common.settings.load`."""
    return load(Settings, "auth", environment)
