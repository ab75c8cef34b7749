"""Entry point of the server: `uvicorn auth_app.main:app --host 0.0.0.0 --port 8001`."""

import os

from reference_common.logs import configure_logging

from auth_app.app import create_app
from auth_app.settings import load_settings

settings = load_settings(os.environ)
configure_logging("auth")
app = create_app(settings)
