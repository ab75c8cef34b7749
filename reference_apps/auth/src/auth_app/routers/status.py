"""What the service is and whether it serves."""

from fastapi import APIRouter
from pydantic import BaseModel

router = APIRouter(tags=["status"])


class Service(BaseModel):
    message: str = "Auth Service"
    version: str = "1.0.0"


class Health(BaseModel):
    status: str = "ok"
    service: str = "auth"


@router.get("/")
def about() -> Service:
    return Service()


@router.get("/health")
def health() -> Health:
    """Say that the process serves; the database is not asked."""
    return Health()
