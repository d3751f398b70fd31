"""Which parts a stack consists of: read top to bottom, this is the platform on one machine."""

from collections.abc import Callable, Collection

from devstack.aws import aws
from devstack.bigquery import bigquery
from devstack.errors import DevstackError, MissingPrerequisite
from devstack.gateway import gateway
from devstack.kafka import kafka
from devstack.part import Part
from devstack.postgres import postgres
from devstack.services import analytics, notify, order, payment, product, provider, relays, user
from devstack.settings import StackSettings

Describe = Callable[[StackSettings], Part]


def plan(settings: StackSettings, only: Collection[str] = (), *, strict: bool = True) -> list[Part]:
    """Return the parts to run here, or only those named; a part replaced by an external endpoint is left out.

    Raise `MissingPrerequisite` if this machine cannot run one; if not `strict`, leave that one out.
    """
    local: dict[str, Describe | None] = {
        "postgres": None if settings.external_postgres else postgres,
        "kafka": None if settings.external_kafka else kafka,
        "aws": None if settings.external_aws else aws,
        "bigquery": bigquery if settings.analytics and not settings.external_bigquery else None,
        "provider": provider,
        "user": user,
        "product": product,
        "order": order,
        "payment": payment,
        "gateway": gateway,
        "notify": None if settings.outputs_file.exists() else notify,
        "analytics": analytics if settings.analytics else None,
    }
    unknown = sorted(set(only) - local.keys())
    if unknown:
        raise DevstackError(f"There is no part {', '.join(unknown)}; the parts are {', '.join(local)}.")
    parts = relays(settings) if settings.relays_apart and not only else []
    for name, describe in local.items():
        if describe is None or (only and name not in only):
            continue
        try:
            parts.append(describe(settings))
        except MissingPrerequisite:
            if strict:
                raise
    return parts
