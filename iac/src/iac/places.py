"""Where things lie."""

import os
from pathlib import Path

from iac.errors import NoProvider

ROOM = Path(__file__).resolve().parents[2]
POLICIES = ROOM / "policies"
GITOPS = ROOM.parent / "gitops"
ENVIRONMENTS = ("dev", "staging", "prod")
STACKS = ("aws", "bootstrap", "gcp")
CACHE = Path(os.environ.get("SOUK_CACHE") or Path.home() / ".cache" / "souk")
HANDLER = ROOM.parent / "fn-notify" / "src" / "fn_notify" / "handler.py"

_PROVIDER = Path("registry.terraform.io/hashicorp/aws")
_USUAL = (
    Path("/opt/tf-plugins"),
    Path("/usr/local/share/terraform/plugins"),
    Path("/usr/share/terraform/plugins"),
    Path.home() / ".local/share/terraform/plugins",
    Path.home() / ".terraform.d/plugins",
)


def plugins() -> Path:
    """Return the folder with Terraform's providers: `SOUK_TF_PLUGIN_DIR`, or the first usual one that has AWS'."""
    given = os.environ.get("SOUK_TF_PLUGIN_DIR")
    for folder in (Path(given),) if given else _USUAL:
        if (folder / _PROVIDER).is_dir():
            return folder
    looked = given or ", ".join(map(str, _USUAL))
    raise NoProvider(
        f"No provider hashicorp/aws in {looked}. Name a folder that holds {_PROVIDER}/<version>/<platform>/ "
        "in SOUK_TF_PLUGIN_DIR, or run Terraform's own `init`, which downloads it."
    )
