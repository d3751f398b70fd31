"""Argon2id (RFC 9106) in threads, a few at a time: it burns CPU and memory on purpose."""

import asyncio
import os

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError


class Passwords:
    """Hashes and verifies without blocking the event loop."""

    def __init__(self, *, memory_kib: int, passes: int, lanes: int) -> None:
        self._hasher = PasswordHasher(time_cost=passes, memory_cost=memory_kib, parallelism=lanes)
        self._at_once = asyncio.Semaphore(os.cpu_count() or 1)
        self._nobody = self._hasher.hash("nobody has this password")

    async def hash(self, password: str) -> str:
        """Return the hash with its salt and parameters."""
        async with self._at_once:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def verify(self, stored: str | None, password: str) -> bool:
        """Return whether the password is right; without an account it takes as long, and is wrong."""
        async with self._at_once:
            right = await asyncio.to_thread(self._verify, stored or self._nobody, password)
        return right and stored is not None

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False
