"""The dashboard's figures for API clients."""

from fastapi import APIRouter

from construction_app.database import Database
from construction_app.figures import Figures, figures_of
from construction_app.identity import ApiClaims

router = APIRouter(prefix="/api/v1/dashboard", tags=["dashboard"])


@router.get("/")
def dashboard(database: Database, claims: ApiClaims) -> Figures:
    return figures_of(database, claims.tenant_id)
