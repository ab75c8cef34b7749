"""The application as a function of its settings, so that tests can make as many as they like."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from reference_common.pages import add_not_found

from auth_app.database import open_engine
from auth_app.routers import login, status, tenant, users
from auth_app.settings import Settings


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.engine.dispose()


def create_app(settings: Settings) -> FastAPI:
    app = FastAPI(title="Auth Service", version="1.0.0", lifespan=_lifespan)
    app.state.settings = settings
    app.state.engine = open_engine(settings.database_url.get_secret_value())
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(settings.cors_origins),
        allow_credentials=True,
        allow_methods=["*"],
        allow_headers=["*"],
    )
    add_not_found(app)
    for module in (status, tenant, login, users):
        app.include_router(module.router)
    return app
