"""Pages of the two web applications that only say something, with their style inline: no other file need be served."""

from pathlib import Path

from fastapi import FastAPI, Request, Response
from fastapi.exception_handlers import http_exception_handler
from fastapi.responses import HTMLResponse
from fastapi.templating import Jinja2Templates
from starlette.exceptions import HTTPException

templates = Jinja2Templates(Path(__file__).parent / "templates")

API_PATH = "/api/"
UNKNOWN_PATH, WRONG_METHOD = 404, 405


def message_page(request: Request, status: int, title: str, text: str, *, home: bool = False) -> HTMLResponse:
    """Make a page of a title and a sentence, and with `home` a way back to where the shop begins."""
    context = {"title": title, "text": text, "home": home}
    return templates.TemplateResponse(request, "message.html", context, status_code=status)


def add_not_found(app: FastAPI) -> None:
    """Answer browsers that go to an address where no page is by a page; whoever asks for JSON still gets JSON."""
    for status in (UNKNOWN_PATH, WRONG_METHOD):
        app.add_exception_handler(status, _not_found)


async def _not_found(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what `add_not_found` asks for
    if _asks_for_a_page(request):
        page = message_page(request, error.status_code, "Página não encontrada", "Confira o endereço.", home=True)
        page.headers.update(error.headers or {})  # a wrong method's has `Allow`
        return page
    return await http_exception_handler(request, error)


def _asks_for_a_page(request: Request) -> bool:
    navigates = request.method in ("GET", "HEAD") and not request.url.path.startswith(API_PATH)
    return navigates and "text/html" in request.headers.get("Accept", "")
