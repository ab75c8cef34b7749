"""The application as a function of its settings, so that tests can make as many as they like."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from fastapi.staticfiles import StaticFiles
from reference_common.pages import add_not_found

from construction_app.database import open_engine
from construction_app.identity import LoginRequired
from construction_app.routers import clientes, cotacoes, dashboard, insights, obras, pedidos, produtos, status, web
from construction_app.settings import Settings


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.engine.dispose()


def create_app(settings: Settings) -> FastAPI:
    app = FastAPI(title="BaseCommerce Construction", version="1.0.0", lifespan=_lifespan)
    app.state.settings = settings
    app.state.engine = open_engine(settings.database_url.get_secret_value())
    app.add_middleware(
        CORSMiddleware,
        allow_origins=list(settings.cors_origins),
        allow_credentials=True,
        allow_methods=["*"],
        allow_headers=["*"],
    )
    app.add_exception_handler(LoginRequired, web.send_to_login)
    add_not_found(app)
    app.mount("/web/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
    for module in (status, clientes, obras, produtos, cotacoes, pedidos, dashboard, insights, web):
        app.include_router(module.router)
    return app
