"""Facts that Terraform spreads over several resources, written onto the resource that policies speak about."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from iac import google, rights

Resource = dict[str, Any]

_DEAD = "-dlq"
TAGS = ("project", "environment", "owner", "cost-center")
_OF_AN_ENVIRONMENT = ("aws_db_instance", "aws_dynamodb_table", "aws_msk_cluster", "aws_s3_bucket")
_SWITCHES = ("block_public_acls", "block_public_policy", "ignore_public_acls", "restrict_public_buckets")


def joined(resource: Resource, everything: Sequence[Resource]) -> Resource:
    """Return a resource with what other resources say about it."""
    values = {key: value for key, value in resource["values"].items() if key != "tags"}
    if "tags_all" in values:
        values["tagged"] = _tagged(values["tags_all"])
        if resource["type"] in _OF_AN_ENVIRONMENT:
            values["environment"] = _part(values, "tags_all", "environment")
    if "terraform_labels" in values:
        values["tagged"] = _tagged(values["terraform_labels"])
    if resource["type"] in google.TOLD:
        values |= google.TOLD[resource["type"]](values)
    tell = _TOLD.get(resource["type"])
    return {**resource, "values": {**values, **(tell(values, everything) if tell else {})}}


def _tagged(tags: Any) -> str:
    missing = [tag for tag in TAGS if not _part({"tags": tags}, "tags", tag)]
    return f"without {', '.join(missing)}" if missing else "fully"


def platform(everything: Sequence[Resource]) -> Resource:
    """Return the one resource that counts what must exist, or must not."""
    addons = [values["addon_name"] for values in _of("aws_eks_addon", everything)]
    values = {
        "pod_metrics": "measured" if "metrics-server" in addons else "missing",
        "budgets": _count(everything, "aws_budgets_budget", "google_billing_budget"),
        "flow_logs": _count(everything, "aws_flow_log"),
        "static_keys": _count(everything, "aws_iam_access_key", "aws_iam_user", "google_service_account_key"),
        "alarm_receivers": _count(everything, "aws_sns_topic_subscription"),
        **google.platform(everything),
    }
    return {"address": "platform.this", "mode": "managed", "type": "platform", "name": "this", "values": values}


def _of(kind: str, everything: Sequence[Resource]) -> Iterator[Mapping[str, Any]]:
    return (resource["values"] for resource in everything if resource["type"] == kind)


def _count(everything: Sequence[Resource], *kinds: str) -> int:
    return sum(1 for resource in everything if resource["type"] in kinds)


def _about(kind: str, key: str, name: Any, everything: Sequence[Resource]) -> Mapping[str, Any]:
    """Return what the resource of a kind says that names another by `key`; empty if there is none."""
    return next((values for values in _of(kind, everything) if values.get(key) == name), {})


def _part(values: Mapping[str, Any], *path: str) -> Any:
    """Return what stands at a path of blocks, None where it breaks off."""
    found: Any = values
    for name in path:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def _plain_text(kind: str, name: str, everything: Sequence[Resource]) -> str:
    denied = any(rights.denies_plain_text(values.get("policy"), name) for values in _of(kind, everything))
    return "denied" if denied else "allowed"


def _bucket(values: Mapping[str, Any], everything: Sequence[Resource]) -> dict[str, Any]:
    name = values["bucket"]

    def said(what: str) -> Mapping[str, Any]:
        return _about(f"aws_s3_bucket_{what}", "bucket", name, everything)

    block = said("public_access_block")
    default = ("rule", "apply_server_side_encryption_by_default")
    encryption = said("server_side_encryption_configuration")
    return {
        "encryption": _part(encryption, *default, "sse_algorithm"),
        "key": _part(encryption, *default, "kms_master_key_id"),
        "versions": _part(said("versioning"), "versioning_configuration", "status"),
        "public_access": "blocked" if all(block.get(switch) is True for switch in _SWITCHES) else "possible",
        "owner": _part(said("ownership_controls"), "rule", "object_ownership"),
        "plain_text": _plain_text("aws_s3_bucket_policy", name, everything),
        "lifecycle": "tidy" if said("lifecycle_configuration") else "none",
    }


def _queue(values: Mapping[str, Any], everything: Sequence[Resource]) -> dict[str, Any]:
    name = values["name"]
    watched = [_part(alarm, "dimensions", "QueueName") for alarm in _of("aws_cloudwatch_metric_alarm", everything)]
    dead = name.endswith(_DEAD)
    return {
        "plain_text": _plain_text("aws_sqs_queue_policy", name, everything),
        "dead_letters": "is one" if dead else "has some" if values.get("redrive_policy") else "has none",
        "alarmed": "yes" if name in watched else "no",
        "fed_by": _feeders(name, everything) if dead else "those with the right",
    }


def _feeders(dead: str, everything: Sequence[Resource]) -> str:
    """Tell from where a queue of dead letters takes them: from its queue only, if something says so."""
    for values in _of("aws_sqs_queue_redrive_allow_policy", everything):
        allowed = json.loads(values["redrive_allow_policy"])
        sources = [str(arn).rpartition(":")[2] for arn in allowed.get("sourceQueueArns", ())]
        if allowed.get("redrivePermission") == "byQueue" and sources == [dead.removesuffix(_DEAD)]:
            return "its queue"
    return "any queue"


def _topic(values: Mapping[str, Any], everything: Sequence[Resource]) -> dict[str, Any]:
    return {"plain_text": _plain_text("aws_sns_topic_policy", values["name"], everything)}


def _database(values: Mapping[str, Any], everything: Sequence[Resource]) -> dict[str, Any]:
    group = _about("aws_db_parameter_group", "name", values.get("parameter_group_name"), everything)
    forced = any(
        (parameter["name"], parameter["value"]) == ("rds.force_ssl", "1")
        for parameter in rights.listed(group.get("parameter", []))
    )
    return {"tls": "forced" if forced else "optional"}


def _repository(values: Mapping[str, Any], everything: Sequence[Resource]) -> dict[str, Any]:
    policy = _about("aws_ecr_lifecycle_policy", "repository", values["name"], everything)
    return {"lifecycle": "tidy" if policy else "none"}


def _cluster(values: Mapping[str, Any], _everything: Sequence[Resource]) -> dict[str, Any]:
    return {"audit": "logged" if "audit" in rights.listed(values.get("enabled_cluster_log_types")) else "not logged"}


def _template(values: Mapping[str, Any], _everything: Sequence[Resource]) -> dict[str, Any]:
    told = {_tagged(part.get("tags")) for part in rights.listed(values.get("tag_specifications") or [])}
    return {"makes": "tagged nodes" if told == {"fully"} else "nodes " + (", ".join(sorted(told)) or "without tags")}


def _default_group(values: Mapping[str, Any], _everything: Sequence[Resource]) -> dict[str, Any]:
    return {"lets_in": "somebody" if values.get("ingress") else "nobody"}


_TOLD: Mapping[str, Callable[[Mapping[str, Any], Sequence[Resource]], dict[str, Any]]] = {
    "aws_s3_bucket": _bucket,
    "aws_sqs_queue": _queue,
    "aws_sns_topic": _topic,
    "aws_db_instance": _database,
    "aws_ecr_repository": _repository,
    "aws_default_security_group": _default_group,
    "aws_eks_cluster": _cluster,
    "aws_launch_template": _template,
}
