"""The table of sessions in DynamoDB, for a service whose store is another one."""

from corelib.aws.clients import Aws
from corelib.documents import Catalog
from corelib.dynamo.client import Client
from corelib.dynamo.documents import Documents
from corelib.dynamo.tables import provision
from svc_user.store import SESSIONS, Sessions


class DynamoSessions(Sessions):
    """Sessions with a connection of their own: a resource."""

    name = "sessions"

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self._client = Client(aws)
        super().__init__(Documents(self._client, Catalog(aws.prefix, [SESSIONS])))

    async def provision(self) -> None:
        """Create the table where it is missing."""
        await provision(self._client, SESSIONS)

    async def open(self) -> None:
        """Connect."""
        await self._aws.open()

    async def close(self) -> None:
        """Disconnect."""
        await self._aws.close()

    async def check(self) -> None:
        """Raise `Unavailable` unless the table answers."""
        await self._tables.get(SESSIONS, {"session_id": "check"})
