"""Settings from the environment, read once at start. No `.env` file is looked for, and other names are ignored."""

from collections.abc import Mapping
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError


def _database_url(value: SecretStr) -> SecretStr:
    """Refuse what SQLAlchemy cannot parse, without repeating it: the URL holds a password."""
    try:
        make_url(value.get_secret_value())
    except (ArgumentError, ValueError):
        raise ValueError("not a URL of the form postgresql+psycopg2://user:password@host:5432/name") from None
    return value


class RequiredSettings(BaseModel):
    """What every application needs. Fields are the names of the environment in lower case."""

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    database_url: Annotated[SecretStr, AfterValidator(_database_url)]
    # HMAC key of the tokens. auth and construction must be given the same one; the workers only demand it.
    secret_key: Annotated[SecretStr, Field(min_length=1)]


S = TypeVar("S", bound=RequiredSettings)


def load(model: type[S], application: str, environment: Mapping[str, str]) -> S:
    """Read the settings; a missing or refused one ends the process with a line that names it (exit code 1)."""
    given = {field: environment[field.upper()] for field in model.model_fields if field.upper() in environment}
    try:
        return model.model_validate(given)
    except ValidationError as error:
        lines = [f"{application}: {'.'.join(map(str, item['loc'])).upper()}: {item['msg']}" for item in error.errors()]
        raise SystemExit("\n".join([*lines, "hint: set it in the container's environment and start again"])) from None
