"""Secrets of one stack: generated once, each in a file of its own that only its owner reads."""

import os
import secrets
from collections.abc import Callable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


class Secrets:
    """A folder of secrets, mode 0700, files 0600."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def signing_key_file(self) -> Path:
        """Return the file of the Ed25519 key that signs access tokens (PEM)."""
        self._text("signing-key.pem", _new_signing_key)
        return self.folder / "signing-key.pem"

    def webhook_secret(self) -> str:
        """Return what the payment provider signs its webhooks with."""
        return self._text("webhook-secret", lambda: secrets.token_hex(32))

    def admin_password(self) -> str:
        """Return the password of the shop's first administrator."""
        return self._text("admin-password", lambda: secrets.token_urlsafe(18))

    def postgres_password(self) -> str:
        """Return the password of PostgreSQL's user `souk`."""
        return self._text("postgres-password", lambda: secrets.token_hex(16))

    def _text(self, name: str, new: Callable[[], str]) -> str:
        path = self.folder / name
        if not path.exists():
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            draft = self.folder / f".{name}.{os.getpid()}.{secrets.token_hex(4)}"
            with os.fdopen(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                file.write(new())
            try:
                # A link, unlike a rename, leaves the winner's secret alone when two starters race.
                os.link(draft, path)
            except FileExistsError:
                pass
            finally:
                draft.unlink()
        return path.read_text()


def _new_signing_key() -> str:
    key = Ed25519PrivateKey.generate()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
