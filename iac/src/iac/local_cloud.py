"""What the local cloud (ministack 1.5.33) cannot do yet, by name and with the reason.

The real apply expects exactly this: what is listed here and works after all fails the test as well, so that the list
shrinks as the emulator grows. The rest of each resource, and all of it on AWS, is covered by plan, policies and schema.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from iac.workspace import LOCAL_ACCOUNT, Workspace

ENVIRONMENT = "dev"
STORES = ("table", "bucket", "queue", "mail", "notify")
"""The modules that hold what services use of AWS, when they run on one machine."""

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
    "The database's insights are encrypted with a key of ours": "an instance loses the key of its insights",
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


def provision(folder: Path, endpoint: str) -> dict[str, Any]:
    """Make the stores of an environment at an endpoint, or bring them up to date; return the outputs, and leave them.

    The folder keeps the state. What else there is on AWS (network, cluster, database, brokers) has no use there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    variables = {
        "account_id": LOCAL_ACCOUNT,
        "allow_data_loss": "true",
        "notify_environment": json.dumps({"AWS_ENDPOINT_URL": endpoint}),
        # Two at once, the least that Lambda allows: each more is a process more on this machine.
        "notify_concurrency": "3",
    }
    stack = Workspace(folder, "aws", endpoint, variables)
    stack.lay()
    stack.init()
    # Its SES takes no configuration set for an identity that is there already: made once, mail is left alone.
    done = {"mail"} if any(address.startswith("module.mail.") for address in stack.addresses()) else set()
    stack.apply_only(ENVIRONMENT, [f"module.{name}" for name in STORES if name not in done])
    outputs = stack.outputs()
    (folder / "outputs.json").write_text(json.dumps(outputs, indent=2))
    return outputs
