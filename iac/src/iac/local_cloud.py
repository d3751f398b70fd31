"""What the local cloud (ministack 1.5.33) cannot do yet, by name and with the reason.

The real apply expects exactly this: what is listed here and works after all fails the test as well, so that the list
shrinks as the emulator grows. The rest of each resource, and all of it on AWS, is covered by plan, policies and schema.
"""

from collections.abc import Mapping
from typing import Any

# Resources that it cannot make, or can make but not give back.
REFUSED = {
    "module.broker.aws_msk_cluster.this": "no DescribeClusterV2, which the provider waits on",
    "module.broker.aws_cloudwatch_metric_alarm.disk": "watches the cluster above",
}
NOT_DELETED = {"module.broker.aws_msk_configuration.this": "no DeleteConfiguration"}

# Arguments that it takes and forgets, by type: the second plan wants to set them again.
FORGOTTEN: Mapping[str, tuple[frozenset[str], str]] = {
    "aws_cloudwatch_metric_alarm": (
        frozenset(
            {
                "actions_enabled", "alarm_actions", "alarm_description", "dimensions", "ok_actions", "period",
                "statistic", "treat_missing_data",
            }
        ),
        "PutMetricAlarm in the CBOR protocol keeps only name, metric, operator and threshold",
    ),
    "aws_db_instance": (
        frozenset({"backup_window", "enabled_cloudwatch_logs_exports", "performance_insights_kms_key_id"}),
        "not in its model of an instance",
    ),
    "aws_eks_cluster": (frozenset({"upgrade_policy"}), "not in its model of a cluster"),
    "aws_eks_node_group": (frozenset({"launch_template", "update_config"}), "not in its model of a node group"),
    "aws_flow_log": (
        frozenset({"iam_role_arn", "max_aggregation_interval", "tags", "tags_all"}),
        "its model of a flow log has neither",
    ),
    "aws_sesv2_email_identity": (frozenset({"configuration_set_name"}), "not in its model of an identity"),
    "aws_vpc_endpoint": (
        frozenset({"private_dns_enabled", "security_group_ids"}), "its interface endpoints have no network interface"
    ),
}  # fmt: skip

# Policies that the applied state cannot satisfy, since what they look for is forgotten above.
UNJUDGED = {
    "Each queue has an alarm": "alarms lose their dimensions",
    "Everything says whose it is": "flow logs lose their tags",
}


def forgotten(plan: Mapping[str, Any]) -> dict[str, set[str]]:
    """Return the arguments that a plan of an unchanged stack wants to change, by type."""
    found: dict[str, set[str]] = {}
    for change in plan["resource_changes"]:
        if change["change"]["actions"] in (["no-op"], ["read"]) or change["address"] in REFUSED:
            continue
        found.setdefault(change["type"], set()).update(_changed(change["change"]))
    return found


def _changed(change: Mapping[str, Any]) -> set[str]:
    before, after, unknown = change["before"] or {}, change["after"] or {}, change["after_unknown"]
    return {
        name
        for name, value in after.items()
        if value not in (None, {}) and unknown.get(name) is not True and value != before.get(name)
    }
