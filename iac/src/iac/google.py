"""Facts about Google Cloud: grants, one resource each, and what policies ask of a resource in a few words."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

_GRANT = re.compile(r"google_\w+_iam_(member|binding)")
_BASIC = ("roles/owner", "roles/editor", "roles/viewer")
_EVERYBODY = ("allUsers", "allAuthenticatedUsers")
_METRIC = re.compile(r'metric\.type = "[\w./]+/(\w+)"')
_IKE = ("tunnel1_ike_versions", "tunnel2_ike_versions")


def grants(resources: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield a `google_grant` for each role that somebody is given."""
    for resource in resources:
        if _GRANT.fullmatch(resource["type"]):
            values = resource["values"]
            members = [values["member"]] if "member" in values else values.get("members") or []
            yield {
                "address": f"{resource['address']}.grant",
                "mode": "managed",
                "type": "google_grant",
                "name": resource["name"],
                "values": {"to": _receiver(members), "breadth": _breadth(str(values["role"]))},
            }


def platform(resources: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what must exist on Google Cloud at all."""
    logged = {
        str(values["service"]).partition(".")[0]
        for values in _of("google_project_iam_audit_config", resources)
        if "DATA_READ" in [part.get("log_type") for part in _listed(values.get("audit_log_config"))]
    }
    watched = {
        metric
        for values in _of("google_monitoring_alert_policy", resources)
        for metric in _METRIC.findall(str(part(values, "conditions", "condition_threshold", "filter")))
    }
    return {
        "reads_logged": ", ".join(sorted(logged)),
        "watched": ", ".join(sorted(watched)),
    }


def part(values: Mapping[str, Any], *path: str) -> Any:
    """Return what stands at a path of blocks, None where it breaks off."""
    found: Any = values
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _of(kind: str, resources: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    return (resource["values"] for resource in resources if resource["type"] == kind)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _receiver(members: Sequence[str]) -> str:
    return "everybody" if set(members) & set(_EVERYBODY) else "named"


def _breadth(role: str) -> str:
    return "basic" if role in _BASIC else "administrator" if role.lower().endswith("admin") else "narrow"


def _secret(values: Mapping[str, Any]) -> dict[str, Any]:
    place = ("replication", "user_managed", "replicas", "customer_managed_encryption", "kms_key_name")
    return {"key": part(values, *place)}


def _peer(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"takes": "some routes" if values.get("import_policies") else "every route"}


def _connection(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"exchange": "ikev2" if all(values.get(tunnel) == ["ikev2"] for tunnel in _IKE) else "older ones"}


def _alert(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"tells": "somebody" if values.get("notification_channels") else "nobody"}


def _budget(values: Mapping[str, Any]) -> dict[str, Any]:
    return {"tells": "somebody" if part(values, "all_updates_rule", "monitoring_notification_channels") else "nobody"}


def _bucket(values: Mapping[str, Any]) -> dict[str, Any]:
    rules = [rule for rule in _listed(values.get("lifecycle_rule")) if part(rule, "action", "type") == "Delete"]
    return {
        "old_versions": "go" if any(part(rule, "condition", "days_since_noncurrent_time") for rule in rules) else "stay"
    }


def _table(values: Mapping[str, Any]) -> dict[str, Any]:
    # An expiry that is not written is "known after apply": Google then takes the dataset's, which is none.
    expires = isinstance(part(values, "time_partitioning", "expiration_ms"), int | float)
    return {
        "partitioned": "by a column" if part(values, "time_partitioning", "field") else "by arrival",
        "kept": "for a time" if expires else "forever",
    }


def _scaling(values: Mapping[str, Any]) -> dict[str, Any]:
    kinds = ("worker_config", "secondary_worker_config")
    return {"most_workers": sum(part(values, kind, "max_instances") or 0 for kind in kinds)}


def _cluster(values: Mapping[str, Any]) -> dict[str, Any]:
    sizes = {part(values, "cluster_config", kind, "machine_type") for kind in ("master_config", "worker_config")}
    return {"sizes": ", ".join(sorted(map(str, sizes)))}


TOLD: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "aws_vpn_connection": _connection,
    "google_bigquery_table": _table,
    "google_billing_budget": _budget,
    "google_compute_router_peer": _peer,
    "google_dataproc_autoscaling_policy": _scaling,
    "google_dataproc_cluster": _cluster,
    "google_monitoring_alert_policy": _alert,
    "google_secret_manager_secret": _secret,
    "google_storage_bucket": _bucket,
}
"""What is said about a resource, by type."""
