"""The settings of the construction application, read from the environment once.

Only the names below are read. Other names are ignored, and no `.env` file is looked for.
"""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
)
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError


def _database_url(value: SecretStr) -> SecretStr:
    """Refuse what SQLAlchemy cannot parse, without repeating it: the URL holds a password."""
    try:
        make_url(value.get_secret_value())
    except (ArgumentError, ValueError):
        raise ValueError("not a URL of the form postgresql+psycopg2://user:password@host:5432/name") from None
    return value


def _origins(value: object) -> object:
    """Accept a JSON list or a comma-separated text; an empty text is no origin at all."""
    if not isinstance(value, str):
        return value
    if value.lstrip().startswith("["):
        try:
            return TypeAdapter(tuple[str, ...]).validate_json(value)
        except ValidationError:
            raise ValueError("starts like a JSON list, but is not a list of texts") from None
    return tuple(origin.strip() for origin in value.split(",") if origin.strip())


class Settings(BaseModel):
    """Fields are the names of the environment in lower case."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    database_url: Annotated[SecretStr, AfterValidator(_database_url)]
    # HMAC key of the tokens. auth and construction must be given the same one.
    secret_key: Annotated[SecretStr, Field(min_length=1)]
    # Only HMAC: the key is a shared text, and `none` would let anyone forge a token.
    algorithm: Literal["HS256", "HS384", "HS512"] = "HS256"
    cors_origins: Annotated[tuple[str, ...], BeforeValidator(_origins)] = (
        "http://localhost:3000",
        "http://localhost:5173",
    )


def load_settings(environment: Mapping[str, str]) -> Settings:
    """Read the settings; a missing or refused one ends the process with a line that names it."""
    given = {field: environment[field.upper()] for field in Settings.model_fields if field.upper() in environment}
    try:
        return Settings.model_validate(given)
    except ValidationError as error:
        lines = [f"construction: {'.'.join(map(str, item['loc'])).upper()}: {item['msg']}" for item in error.errors()]
        raise SystemExit("\n".join([*lines, "hint: set it in the container's environment and start again"])) from None
