"""Settings of the two web applications."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from reference_common.settings import RequiredSettings


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


class WebSettings(RequiredSettings):
    """What auth and construction read alike."""

    # Only HMAC: the key is a shared text, and `none` would let anyone forge a token.
    algorithm: Literal["HS256", "HS384", "HS512"] = "HS256"
    cors_origins: Annotated[tuple[str, ...], BeforeValidator(_origins)] = (
        "http://localhost:3000",
        "http://localhost:5173",
    )
