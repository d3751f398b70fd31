"""Who may drain an outbox: one item, taken and renewed by conditional writes."""

from datetime import timedelta

from botocore.exceptions import ClientError

from corelib.aws import code_of
from corelib.clock import Clock
from corelib.dynamo.client import Client
from corelib.dynamo.items import attribute
from corelib.dynamo.layout import key_of, microseconds
from corelib.errors import LeaseLost

LEASE = timedelta(seconds=6)
# Within this time of the last renewal nobody can have taken over, whatever the clocks of two machines differ by.
_CERTAIN = timedelta(seconds=4)
_MINE = "#h = :me"
_FREE = f"attribute_not_exists(pk) OR {_MINE} OR #u < :now"


class Lease:
    """A relay's lease. Holding it is the fence: every acknowledgement is preceded by proof that it is still held."""

    def __init__(self, client: Client, table: str, relay: str, clock: Clock) -> None:
        self._client = client
        self._table = table
        self._clock = clock
        self._relay = relay
        self._key = key_of("lease", relay, sort="lease")
        self._holder: str | None = None
        self._renewed = 0
        self.term = 0

    @property
    def held(self) -> bool:
        """Whether it was held when last asked for."""
        return self._holder is not None

    async def acquire(self, holder: str) -> bool:
        """Take or renew it; False while another holds it. Taking it, even from oneself, begins a new `term`."""
        if self._holder == holder and await self._write(holder, _MINE):
            return True
        self.term += 1
        self._holder = holder if await self._write(holder, _FREE) else None
        return self.held

    async def confirm(self) -> None:
        """Raise `LeaseLost` unless it is still held."""
        if self._holder is None:
            raise LeaseLost(f"the lease of relay {self._relay} is not held")
        if microseconds(self._clock.now()) - self._renewed < _CERTAIN // timedelta(microseconds=1):
            return
        if not await self._write(self._holder, _MINE):
            self._holder = None
            raise LeaseLost(f"another relay {self._relay} has taken over")

    async def release(self) -> None:
        """Give it up, if it is held."""
        holder, self._holder = self._holder, None
        if holder is None:
            return
        try:
            await self._client.call(
                "DeleteItem",
                TableName=self._table,
                Key=self._key,
                ConditionExpression=_MINE,
                ExpressionAttributeNames={"#h": "holder"},
                ExpressionAttributeValues={":me": {"S": holder}},
            )
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise

    async def _write(self, holder: str, condition: str) -> bool:
        now = microseconds(self._clock.now())
        values = {":me": {"S": holder}, ":until": attribute(now + LEASE // timedelta(microseconds=1))}
        if ":now" in condition:
            values[":now"] = attribute(now)
        try:
            await self._client.call(
                "UpdateItem",
                TableName=self._table,
                Key=self._key,
                UpdateExpression="SET #h = :me, #u = :until",
                ConditionExpression=condition,
                ExpressionAttributeNames={"#h": "holder", "#u": "until"},
                ExpressionAttributeValues=values,
            )
        except ClientError as error:
            if code_of(error) != "ConditionalCheckFailedException":
                raise
            return False
        self._renewed = now
        return True
