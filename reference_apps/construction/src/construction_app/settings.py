"""The settings of the construction application."""

from collections.abc import Mapping

from reference_common.settings import load
from reference_common.web import WebSettings


class Settings(WebSettings):
    """Nothing of its own."""


def load_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings; see `reference_common.settings.load`."""
    return load(Settings, "construction", environment)
