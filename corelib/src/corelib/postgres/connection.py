"""A connection that sends what a transaction writes last in one message with its COMMIT.

asyncpg has no pipelining, and a round trip of its own for the outbox costs a short transaction a fifth of its rate.
PostgreSQL runs the statements of one simple query in order, and none behind one that failed.
"""

from typing import Any

import asyncpg

_COMMIT = "COMMIT;"
# COMMIT of a transaction that an error has ended is a ROLLBACK that tells nobody; any statement before it fails, and
# this one is cheaper than a SELECT and closes what WITH HOLD would have outlive the transaction.
_NOTHING = "CLOSE ALL"
# What a transaction has set for its session ends with it. Behind COMMIT it costs no round trip, and ROLLBACK undoes it.
_CLEAN = "RESET ALL;RESET ROLE"


class Connection(asyncpg.Connection):
    """asyncpg's, to be given to a pool as `connection_class`."""

    __slots__ = ("_last",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._last = ""

    def before_commit(self, statement: str) -> None:
        """Run a statement, without parameters, right before the transaction commits."""
        self._last = statement

    def require_sent(self) -> None:
        """Raise `RuntimeError` if a transaction ended without its last statement."""
        if self._last:
            raise RuntimeError("the transaction ended without what was to be written before COMMIT")

    def get_reset_query(self) -> str:
        """Return what makes a connection that comes home as good as new: that went along with COMMIT.

        asyncpg's own costs a round trip, as much as a COMMIT. One left in a transaction is still rolled back.
        """
        return ""

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109 -- asyncpg's
        """Run a statement; return its command tag."""
        if query.startswith("BEGIN"):
            self._last = ""  # of a transaction that was rolled back
        if query != _COMMIT:
            return str(await super().execute(query, *args, timeout=timeout))
        last, self._last = self._last or _NOTHING, ""
        try:
            return str(await super().execute(f"{last};{_COMMIT}{_CLEAN}", timeout=timeout))
        except asyncpg.PostgresError:
            # COMMIT was not reached: to asyncpg the transaction is over, to the server it is not.
            if self.is_in_transaction():
                await super().execute("ROLLBACK")
            raise
