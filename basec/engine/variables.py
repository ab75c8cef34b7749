"""The environment variables of the engine, started by basec or by hand."""

from __future__ import annotations

from basec.engine import policy_pack
from basec.engine.backend import URL_VARIABLE, url_of
from basec.environments import Environment
from basec.secrets import passphrase_file


def variables(environment: Environment) -> dict[str, str]:
    """Return the engine's variables: a contained stack uses its own directory, a cloud stack the user's."""
    common = {
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        **policy_pack.variables(environment),
        **passphrase_file.variables(environment),
    }
    if not environment.is_contained:
        return common
    return {
        **common,
        "PULUMI_HOME": str(environment.work_dir / "home"),
        URL_VARIABLE: url_of(environment),
        # One local state file is small; backups of each update would only pile up.
        "PULUMI_DIY_BACKEND_DISABLE_CHECKPOINT_BACKUPS": "true",
    }
