"""A whole environment on a fresh local cloud, with the real provider: apply, judge, plan again, destroy, look."""

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import boto3
import pytest

from contracts import channels
from corelib.aws.clients import Aws
from corelib.documents import Table
from corelib.dynamo.client import Client
from corelib.dynamo.tables import messaging, provision
from corelib.sqs.broker import Sqs
from fn_notify import deploy
from iac import evidence, local_cloud, policies
from iac.errors import TerraformFailed
from iac.policies import Verdict
from iac.workspace import LOCAL_ACCOUNT, Workspace
from svc_order.store import TABLES
from svc_payment.store import PAYMENTS
from svc_user.store import SESSIONS

pytestmark = pytest.mark.timeout(900)

_ENVIRONMENT = "dev"
_REGION = "ap-south-1"
_DEVSTACK = "quick-"


@dataclass
class Run:
    """What was seen on the way from nothing to everything and back."""

    before: dict[str, set[str]]
    planned: dict[str, Any] = field(default_factory=dict)
    applied: dict[str, Any] = field(default_factory=dict)
    again: dict[str, Any] = field(default_factory=dict)
    ours: dict[str, Any] = field(default_factory=dict)
    devstacks: dict[str, Any] = field(default_factory=dict)
    undeletable: tuple[int, int] = (0, 0)
    kept: list[str] = field(default_factory=list)
    after: dict[str, set[str]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def run(cloud: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    variables = {"account_id": LOCAL_ACCOUNT, "allow_data_loss": "true"}
    stack = Workspace(tmp_path_factory.mktemp("real"), "aws", cloud, variables)
    stack.lay()
    stack.init()
    seen = Run(_everything(cloud))
    seen.planned = stack.plan(_ENVIRONMENT)
    with pytest.raises(TerraformFailed):  # the cluster of brokers; what else is missing, a test below tells
        stack.apply()
    seen.applied = stack.show()
    seen.again = stack.plan(_ENVIRONMENT, out="again")
    seen.ours = _stores(cloud, "souk-dev-")
    _provision_as_devstack(cloud)
    seen.devstacks = _stores(cloud, _DEVSTACK)
    _remove(cloud, _DEVSTACK)
    stack.forget("module.broker.aws_msk_cluster.this")
    with pytest.raises(TerraformFailed) as failed:
        stack.destroy(_ENVIRONMENT)
    seen.undeletable = str(failed.value).count("Error: deleting MSK Configuration"), str(failed.value).count("Error: ")
    stack.forget(*local_cloud.NOT_DELETED)
    stack.destroy(_ENVIRONMENT)
    seen.kept = stack.addresses()
    seen.after = _everything(cloud)
    return seen


def test_everything_is_made_but_what_the_local_cloud_refuses(run: Run) -> None:
    planned = {change["address"] for change in run.planned["resource_changes"] if change["mode"] == "managed"}
    made = {resource["address"] for resource in evidence.resources(evidence.of_state(run.applied))}
    tainted = {found["address"] for found in _raw(run.applied["values"]["root_module"]) if found.get("tainted")}
    assert planned - (made - tainted) == set(local_cloud.REFUSED)


def test_a_second_plan_changes_nothing_but_what_the_local_cloud_forgets(run: Run) -> None:
    wanted = {kind: set(arguments) for kind, (arguments, _) in local_cloud.FORGOTTEN.items()}
    assert local_cloud.forgotten(run.again) == wanted


def test_the_applied_state_meets_every_policy_that_it_can_tell(run: Run) -> None:
    verdicts = policies.judge(evidence.of_state(run.applied))
    assert {name for name, verdict in verdicts.items() if verdict is Verdict.FAILED} == set(local_cloud.UNJUDGED)
    # `of prod`: this is dev. Everything else found something to judge.
    assert all(" of prod " in name for name, verdict in verdicts.items() if verdict is Verdict.SKIPPED)


def test_destroy_leaves_nothing_but_what_the_local_cloud_cannot_delete(run: Run) -> None:
    every = run.undeletable[1]
    assert run.undeletable == (every, every)
    assert every > 0
    assert run.kept == []
    assert run.after == run.before


def test_terraform_makes_the_same_stores_as_devstack(run: Run) -> None:
    assert run.devstacks
    # devstack deploys the function's table without expiry: nothing lives long enough there.
    assert run.ours.pop("table notifications") | {"ttl": None} == run.devstacks.pop("table notifications")
    assert run.ours == run.devstacks


def _provision_as_devstack(endpoint: str) -> None:
    aws = Aws(region=_REGION, endpoint_url=endpoint, prefix=_DEVSTACK)
    asyncio.run(_provision(aws))
    deploy.deploy(endpoint, _DEVSTACK, _REGION)


async def _provision(aws: Aws) -> None:
    await aws.open()
    try:
        for table in _tables():
            await provision(Client(aws), table)
        await Sqs(aws).provision(channels.ALL)
    finally:
        await aws.close()


def _tables() -> list[Table]:
    """What the services declare."""
    return [*TABLES, messaging("order"), PAYMENTS, messaging("payment"), SESSIONS]


def _stores(endpoint: str, prefix: str) -> dict[str, Any]:
    """Return tables and queues with a prefix: what code can tell apart of them."""
    dynamodb = boto3.client("dynamodb", endpoint_url=endpoint, region_name=_REGION)
    sqs = boto3.client("sqs", endpoint_url=endpoint, region_name=_REGION)
    found: dict[str, Any] = {}
    for name in dynamodb.list_tables()["TableNames"]:
        if name.startswith(prefix):
            expiry = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
            told = _shape(dynamodb.describe_table(TableName=name)["Table"])
            found[f"table {name.removeprefix(prefix)}"] = {**told, "ttl": expiry.get("AttributeName")}
    for url in sqs.list_queues(QueueNamePrefix=prefix).get("QueueUrls", ()):
        wanted: list[Any] = ["VisibilityTimeout", "RedrivePolicy"]
        attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=wanted)["Attributes"]
        redrive = json.loads(attributes.get("RedrivePolicy", "{}"))
        dead = redrive.get("deadLetterTargetArn", "").rpartition(":")[2].removeprefix(prefix)
        hidden = attributes["VisibilityTimeout"] if dead else None
        told = {"dead letters": dead, "tries": str(redrive.get("maxReceiveCount")), "hidden": hidden}
        found[f"queue {url.rpartition('/')[2].removeprefix(prefix)}"] = told
    return found


def _shape(table: Any) -> dict[str, Any]:
    indexes = {
        index["IndexName"]: (index["KeySchema"], index["Projection"]["ProjectionType"])
        for index in table.get("GlobalSecondaryIndexes", ())
    }
    attributes = sorted((each["AttributeName"], each["AttributeType"]) for each in table["AttributeDefinitions"])
    stream = (table.get("StreamSpecification") or {}).get("StreamViewType")
    return {"keys": table["KeySchema"], "attributes": attributes, "indexes": indexes, "stream": stream}


def _remove(endpoint: str, prefix: str) -> None:
    dynamodb = boto3.client("dynamodb", endpoint_url=endpoint, region_name=_REGION)
    sqs = boto3.client("sqs", endpoint_url=endpoint, region_name=_REGION)
    for name in dynamodb.list_tables()["TableNames"]:
        if name.startswith(prefix):
            dynamodb.delete_table(TableName=name)
    for url in sqs.list_queues(QueueNamePrefix=prefix).get("QueueUrls", ()):
        sqs.delete_queue(QueueUrl=url)
    functions = boto3.client("lambda", endpoint_url=endpoint, region_name=_REGION)
    functions.delete_function(FunctionName=f"{prefix}notify")


def _raw(module: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from module.get("resources", ())
    for child in module.get("child_modules", ()):
        yield from _raw(child)


_LISTS: dict[str, tuple[str, str, Callable[[Any], str]]] = {
    "dynamodb": ("list_tables", "TableNames", str),
    "sqs": ("list_queues", "QueueUrls", str),
    "s3": ("list_buckets", "Buckets", lambda bucket: str(bucket["Name"])),
    "rds": ("describe_db_instances", "DBInstances", lambda found: str(found["DBInstanceIdentifier"])),
    "eks": ("list_clusters", "clusters", str),
    "ecr": ("describe_repositories", "repositories", lambda found: str(found["repositoryName"])),
    "lambda": ("list_functions", "Functions", lambda found: str(found["FunctionName"])),
    "iam": ("list_roles", "Roles", lambda found: str(found["RoleName"])),
    "ec2": ("describe_vpcs", "Vpcs", lambda found: str(found["VpcId"])),
    "logs": ("describe_log_groups", "logGroups", lambda found: str(found["logGroupName"])),
    "secretsmanager": ("list_secrets", "SecretList", lambda found: str(found["Name"])),
    "sns": ("list_topics", "Topics", lambda found: str(found["TopicArn"])),
    "cloudwatch": ("describe_alarms", "MetricAlarms", lambda found: str(found["AlarmName"])),
}


def _everything(endpoint: str) -> dict[str, set[str]]:
    found = {}
    for service, (operation, key, name) in _LISTS.items():
        client = boto3.client(service, endpoint_url=endpoint, region_name=_REGION)  # type: ignore[call-overload]  # the name is a variable
        found[service] = {name(item) for item in getattr(client, operation)().get(key, ())}
    return found
