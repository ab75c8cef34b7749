"""What tests tell the local cloud by its environment, as `basec` does for operators. Imported before any of it."""

from __future__ import annotations

import os

from basec.environments import cache_directory
from basec.io.programs import LOCAL_CLOUD

for name, value in {**LOCAL_CLOUD, "LOCALCLOUD_CACHE": str(cache_directory())}.items():
    os.environ.setdefault(name, value)
if found := os.environ.get("BASECOMMERCE_PULUMI"):
    os.environ.setdefault("LOCALCLOUD_PULUMI", found)
