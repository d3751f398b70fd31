"""The private key that signs tokens."""

import os
from pathlib import Path

from corelib.auth import TokenSigner, new_key
from corelib.errors import SettingsError


def signer(path: Path, *, make: bool) -> TokenSigner:
    """Read the key; where it is missing and `make` is true, make one that only this user can read."""
    if not path.exists():
        if not make:
            raise SettingsError(f"SOUK_SIGNING_KEY_FILE is '{path}': there is no such file")
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(new_key())
    return TokenSigner(path.read_bytes())
