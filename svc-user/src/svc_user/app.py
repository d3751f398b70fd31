"""Wiring of svc-user."""

from contracts.users import UserProfileChanged, UserRegistered
from corelib.auth import Authenticator, FixedKeys
from corelib.clock import Clock, SystemClock
from corelib.kafka.broker import Kafka
from corelib.postgres.store import Postgres
from corelib.service import Service
from svc_user.admin import FirstAdmin
from svc_user.api import UsersApi
from svc_user.passwords import Passwords
from svc_user.settings import UserSettings
from svc_user.signing import signer
from svc_user.store import MIGRATIONS, Accounts, Sessions


def build(settings: UserSettings, *, clock: Clock | None = None) -> Service:
    """Return the service; tests give it a clock of their own."""
    clock = clock or SystemClock()
    db = Postgres(settings.postgres_dsn, schema="users", migrations=MIGRATIONS)
    accounts = Accounts(db)
    sessions = Sessions(settings.aws())
    passwords = Passwords(
        memory_kib=settings.argon2_memory_kib, passes=settings.argon2_passes, lanes=settings.argon2_lanes
    )
    keys = signer(settings.signing_key_file, make=settings.provision)
    admin = FirstAdmin(
        db,
        accounts,
        passwords,
        clock,
        email=settings.admin_email,
        password=settings.admin_password.get_secret_value(),
    )
    return Service(
        "user",
        settings,
        store=db,
        apis=[UsersApi(accounts, sessions, passwords, keys, clock, token_lifetime=settings.token_lifetime)],
        publishes=[UserRegistered, UserProfileChanged],
        brokers=[Kafka(settings.kafka_bootstrap, prefix=settings.kafka_prefix)],
        resources=[sessions, admin],
        authenticator=Authenticator(FixedKeys(keys.jwks())),
        clock=clock,
    )
