"""What a page may know of the tenant whose host it is on, before anybody has logged in."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import select

from auth_app.database import Database, TenantBranding
from auth_app.identity import CurrentTenant

router = APIRouter(tags=["tenant"])


class TenantPage(BaseModel):
    """The defaults are the answer for a host without a tenant."""

    slug: str = ""
    name: str = "BaseCommerce"
    logo_url: str | None = None
    primary_color: str = "#1a73e8"
    secondary_color: str = "#ea4335"
    features: dict[str, Any] = {}


@router.get("/tenant.json")
def tenant_page(database: Database, tenant: CurrentTenant) -> TenantPage:
    if tenant is None:
        return TenantPage()
    page = TenantPage(slug=tenant.slug, name=tenant.nome)
    branding = database.scalar(select(TenantBranding).where(TenantBranding.tenant_id == tenant.id))
    if branding is None:
        return page
    return page.model_copy(
        update={
            "logo_url": branding.logo_url,
            "primary_color": branding.primary_color or page.primary_color,
            "secondary_color": branding.secondary_color or page.secondary_color,
            "features": branding.feature_flags or {},
        }
    )
