"""One router per subject; `auth_app.app` includes them."""
