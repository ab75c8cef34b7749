"""One router per resource; `construction_app.app` includes them."""
