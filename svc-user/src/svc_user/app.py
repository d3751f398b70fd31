"""Wiring of svc-user."""

from collections.abc import Sequence
from dataclasses import dataclass

from contracts.users import UserProfileChanged, UserRegistered
from corelib.auth import Authenticator, FixedKeys, TokenSigner, new_key
from corelib.broker import Broker
from corelib.clock import Clock, SystemClock
from corelib.kafka.broker import Kafka
from corelib.memory.alone import Alone
from corelib.memory.store import Memory
from corelib.postgres.store import Postgres
from corelib.service import Resource, Service
from corelib.store import Store
from svc_user.admin import FirstAdmin
from svc_user.api import UsersApi
from svc_user.dynamo import DynamoSessions
from svc_user.memory import TABLES, MemoryAccounts
from svc_user.passwords import Passwords
from svc_user.postgres import MIGRATIONS, SqlAccounts
from svc_user.settings import UserSettings
from svc_user.signing import signer
from svc_user.store import Accounts, Sessions


@dataclass(frozen=True)
class Parts:
    """What is another thing on real servers than in memory."""

    store: Store
    accounts: Accounts
    sessions: Sessions
    broker: Broker
    signer: TokenSigner
    resources: Sequence[Resource] = ()
    alone: Alone | None = None


def on_servers(settings: UserSettings) -> Parts:
    """Return the parts on PostgreSQL, DynamoDB and Kafka. Raises `SettingsError`."""
    db = Postgres(settings.postgres_dsn, schema="users", migrations=MIGRATIONS)
    sessions = DynamoSessions(settings.aws())
    kafka = Kafka(settings.kafka(), prefix=settings.kafka_prefix)
    keys = signer(settings.signing_key_file, make=settings.provision)
    return Parts(db, SqlAccounts(db), sessions, kafka, keys, [sessions])


def in_memory(settings: UserSettings, clock: Clock) -> Parts:
    """Return the parts that need nothing around the process; a key file is read if the settings name one."""
    is_named = "signing_key_file" in settings.model_fields_set
    keys = signer(settings.signing_key_file, make=False) if is_named else TokenSigner(new_key())
    db, alone = Memory(tables=TABLES), Alone(settings, clock, signer=keys)
    return Parts(db, MemoryAccounts(db), Sessions(db), alone.kafka, keys, alone=alone)


def build(settings: UserSettings, *, clock: Clock | None = None) -> Service:
    """Return the service; tests give it a clock of their own."""
    clock = clock or SystemClock()
    parts = in_memory(settings, clock) if settings.in_memory else on_servers(settings)
    passwords = Passwords(
        memory_kib=settings.argon2_memory_kib, passes=settings.argon2_passes, lanes=settings.argon2_lanes
    )
    admin = FirstAdmin(
        parts.store,
        parts.accounts,
        passwords,
        clock,
        email=settings.admin_email,
        password=settings.admin_password.get_secret_value(),
    )
    api = UsersApi(
        parts.accounts, parts.sessions, passwords, parts.signer, clock, token_lifetime=settings.token_lifetime
    )
    return Service(
        "user",
        settings,
        store=parts.store,
        apis=[api],
        publishes=[UserRegistered, UserProfileChanged],
        brokers=[parts.broker],
        resources=[*parts.resources, admin],
        authenticator=Authenticator(FixedKeys(parts.signer.jwks())),
        clock=clock,
        alone=parts.alone,
    )
