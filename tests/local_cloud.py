"""What tests tell the local cloud by its environment, as `basec` does for operators. Imported before any of it."""

from __future__ import annotations

import os

if found := os.environ.get("BASECOMMERCE_PULUMI"):
    os.environ.setdefault("LOCALCLOUD_PULUMI", found)
