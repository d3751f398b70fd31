"""k6, built once by Go from its published module into the cache; the version is pinned here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

VERSION = "v1.8.1"
_CACHE = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")).expanduser() / "souk" / f"k6-{VERSION}"


def binary() -> Path:
    """Return the path of k6, building it first where it is missing (about a minute); exit 2 without Go."""
    built = _CACHE / "k6"
    if built.exists():
        return built
    go = shutil.which("go")
    if go is None:
        print("The bench builds k6 with Go: install the package golang-go (1.24 or newer).", file=sys.stderr)
        raise SystemExit(2)
    print(f"Building k6 {VERSION}, once ...", flush=True)
    _CACHE.mkdir(parents=True, exist_ok=True)
    subprocess.run(  # noqa: S603 -- the path is what the machine itself calls go
        [go, "install", f"go.k6.io/k6@{VERSION}"], check=True, env={**os.environ, "GOBIN": str(_CACHE)}
    )
    return built
