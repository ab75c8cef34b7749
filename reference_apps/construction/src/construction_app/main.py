"""Entry point of the server: `uvicorn construction_app.main:app --host 0.0.0.0 --port 8000`."""

import os

from reference_common.logs import configure_logging

from construction_app.app import create_app
from construction_app.settings import load_settings

settings = load_settings(os.environ)
configure_logging("construction")
app = create_app(settings)
