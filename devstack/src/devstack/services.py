"""The shop's own programs: four services, the payment provider, the Lambda's deployment, the Spark job."""

import sys
from dataclasses import replace
from pathlib import Path

from devstack import jars
from devstack.aws import credentials
from devstack.bigquery import PROJECT
from devstack.java import java
from devstack.part import Part, http
from devstack.settings import HOST, StackSettings

SPARK_JARS = Path(__file__).with_name("spark-jars.sha256")
"""Spark's connector to Kafka, and what it needs that pyspark does not bring."""

_STORES = ("postgres", "kafka", "aws")


def user(settings: StackSettings) -> Part:
    """Describe svc-user, which signs tokens and opens the first administrator's account."""
    account = {"SOUK_ADMIN_EMAIL": settings.admin_email, "SOUK_ADMIN_PASSWORD": settings.admin_password()}
    # Strong hashing is for real passwords: a replay registers hundreds of made-up ones.
    hashing = {"SOUK_ARGON2_MEMORY_KIB": "1024", "SOUK_ARGON2_PASSES": "1", "SOUK_ARGON2_LANES": "1"}
    key = {"SOUK_SIGNING_KEY_FILE": str(settings.secrets.signing_key_file())}
    return _service(settings, "user", {**hashing, **key, **account})


def product(settings: StackSettings) -> Part:
    """Describe svc-product."""
    return _service(settings, "product", {})


def order(settings: StackSettings) -> Part:
    """Describe svc-order."""
    return _service(settings, "order", {})


def payment(settings: StackSettings) -> Part:
    """Describe svc-payment, which calls the provider and takes its signed webhooks."""
    secret = {"SOUK_PROVIDER_WEBHOOK_SECRET": settings.secrets.webhook_secret()}
    return _service(settings, "payment", {"SOUK_PROVIDER_URL": settings.provider_url, **secret}, after=("provider",))


def relays(settings: StackSettings) -> list[Part]:
    """Describe the services' relays as processes of their own: the same program, told to run that part only."""
    return [_relay(settings, service(settings)) for service in (user, product, order, payment)]


def _relay(settings: StackSettings, service: Part) -> Part:
    name = f"{service.name}-relay"
    url = settings.service_url(name)
    port = settings.service_port(name)
    return replace(
        service,
        name=name,
        ready=http(f"{url}/readyz"),
        url=url,
        env={**service.env, "SOUK_ONLY": "relay", "SOUK_PORT": str(port)},
        ports={f"SOUK_{name.upper().replace('-', '_')}_PORT": port},
        after=(service.name,),
    )


def provider(settings: StackSettings) -> Part:
    """Describe the payment provider that stands in for a real one."""
    return Part(
        name="provider",
        command=(sys.executable, "-m", "svc_payment.provider"),
        ready=http(f"{settings.provider_url}/livez"),
        url=settings.provider_url,
        env={
            "SOUK_HOST": HOST,
            "SOUK_PORT": str(settings.provider_port),
            "SOUK_PROVIDER_WEBHOOK_SECRET": settings.secrets.webhook_secret(),
            "SOUK_PROVIDER_WEBHOOK_URL": f"{settings.service_url('payment')}/api/v1/payments/webhooks",
            "SOUK_PROVIDER_STATE_FILE": str(settings.home.resolve() / "data" / "provider.jsonl"),
        },
        ports={"SOUK_PROVIDER_PORT": settings.provider_port},
        supervised=True,
    )


def notify(settings: StackSettings) -> Part:
    """Describe the step that deploys the Lambda and joins it to its queue."""
    return Part(
        name="notify",
        command=(sys.executable, "-m", "fn_notify.deploy"),
        env=_common(settings),
        after=("aws", "order"),
    )


def analytics(settings: StackSettings) -> Part:
    """Describe the Spark job."""
    java()
    connector = jars.folder("spark", SPARK_JARS, settings.cache)
    ready = settings.home.resolve() / "data" / "analytics" / "ready"

    async def is_ready() -> bool:
        return ready.exists()

    async def prepare() -> None:
        await jars.fetch("spark", SPARK_JARS, settings.cache)
        ready.parent.mkdir(parents=True, exist_ok=True)
        ready.unlink(missing_ok=True)

    return Part(
        name="analytics",
        command=(sys.executable, "-m", "job_analytics"),
        ready=is_ready,
        url="(Spark: Kafka to Kafka, S3, BigQuery)",
        env={
            **_common(settings),
            "SOUK_BIGQUERY_URL": settings.bigquery_url,
            "SOUK_BIGQUERY_PROJECT": PROJECT,
            "SOUK_SPARK_JARS": ",".join(str(connector / jar.file) for jar in jars.read_list(SPARK_JARS)),
            # Short-lived and on few cores: compile fast rather than well.
            "SOUK_SPARK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
            "SPARK_LOCAL_IP": HOST,
            "SOUK_CHECKPOINT_DIR": str(ready.parent / "checkpoints"),
            "SOUK_READY_FILE": str(ready),
        },
        after=("kafka", "aws", "bigquery", "order"),
        prepare=prepare,
        start_seconds=180,
        grace_seconds=30,
        supervised=True,
    )


def _service(settings: StackSettings, name: str, env: dict[str, str], *, after: tuple[str, ...] = ()) -> Part:
    url = settings.service_url(name)
    only = "http,consumer,timers" if settings.relays_apart else ""
    return Part(
        name=name,
        command=(sys.executable, "-m", f"svc_{name}"),
        ready=http(f"{url}/readyz"),
        url=url,
        env={**_common(settings), "SOUK_PORT": str(settings.service_port(name)), "SOUK_ONLY": only, **env},
        ports={f"SOUK_{name.upper()}_PORT": settings.service_port(name)},
        after=(*_STORES, *after),
        grace_seconds=25,
        supervised=True,
    )


def _common(settings: StackSettings) -> dict[str, str]:
    return {
        "SOUK_HOST": HOST,
        "SOUK_LOG_FORMAT": "json",
        "SOUK_PROVISION": "true",
        # Stores on the same machine answer in a millisecond: more at a time would only crowd out requests.
        "SOUK_CONSUMER_CONCURRENCY": "8",
        "SOUK_POSTGRES_DSN": settings.postgres_dsn,
        "SOUK_KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "SOUK_AWS_ENDPOINT_URL": settings.aws_endpoint_url,
        "SOUK_AWS_REGION": settings.aws_region,
        "SOUK_AWS_PREFIX": settings.aws_prefix,
        # The emulator would keep a day of every write in memory, and one replica needs to be told of nobody.
        "SOUK_AWS_STREAMS": "false",
        "SOUK_AWS_SWEEP_SECONDS": "1" if settings.relays_apart else "10",
        "SOUK_JWKS_URL": f"{settings.service_url('user')}/.well-known/jwks.json",
        "PYTHONUNBUFFERED": "1",
        **credentials(settings),
    }
