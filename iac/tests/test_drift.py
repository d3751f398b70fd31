"""The catalogue of the AWS stack is what the services' code and devstack create: neither can drift from the other."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import boto3
import pytest

from contracts import channels
from corelib.kafka.log import receipts_of
from corelib.message import Channel, Transport
from devstack.keys import Secrets
from fn_notify import deploy, handler
from iac import evidence, names
from job_analytics.sinks import BUCKET
from svc_user.store import SESSIONS

_PREFIX = "souk-prod-"
_SERVICES = ("user", "product", "order", "payment")


@pytest.fixture(scope="session")
def plan(plans: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return plans["prod"]


@pytest.fixture(scope="session")
def described(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each service says that it uses."""
    key = Secrets(tmp_path_factory.mktemp("keys")).signing_key_file()
    told = {**os.environ, "SOUK_SIGNING_KEY_FILE": str(key), "SOUK_PROVIDER_WEBHOOK_SECRET": "x", "SOUK_AWS_PREFIX": ""}
    found = {}
    for service in _SERVICES:
        command = (sys.executable, "-m", f"svc_{service}", "--describe")
        found[service] = json.loads(subprocess.run(command, env=told, capture_output=True, check=True).stdout)
    found["user"]["tables"].append({**SESSIONS.describe(), "indexes": list(SESSIONS.indexes)})
    return found


def _planned(plan: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [r["values"] for r in evidence.resources(evidence.of_plan(plan)) if r["type"] == kind]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _table(values: dict[str, Any]) -> dict[str, Any]:
    indexes = [
        {"name": index["name"], "key": index["hash_key"], "sort": index.get("range_key")}
        for index in _listed(values["global_secondary_index"])
    ]
    return {
        "name": values["name"].removeprefix(_PREFIX),
        "key": values["hash_key"],
        "sort": values["range_key"],
        "indexes": sorted(indexes, key=str),
        "ttl": (values.get("ttl") or {}).get("attribute_name") if isinstance(values.get("ttl"), dict) else None,
        "stream": values["stream_enabled"],
    }


def _by_name(tables: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {table["name"]: table for table in tables}


def test_tables_indexes_streams_and_expiry_are_those_of_the_code(
    plan: dict[str, Any], described: dict[str, Any]
) -> None:
    planned = _by_name([_table(values) for values in _planned(plan, "aws_dynamodb_table")])
    notifications = planned.pop("notifications")
    assert planned == _by_name([table for service in described.values() for table in service["tables"]])
    assert notifications["ttl"] in Path(handler.__file__).read_text()


def test_topics_are_those_of_the_contracts_and_of_receipts(plan: dict[str, Any], described: dict[str, Any]) -> None:
    topics = plan["planned_values"]["outputs"]["topics"]["value"]
    assert topics == {
        channel.name: {"partitions": channel.partitions, "compacted": channel.compacted}
        for channel in channels.ALL
        if channel.transport is Transport.KAFKA
    } | {
        receipts_of(name): {"partitions": 1, "compacted": True}
        for service in described.values()
        for name in service["transactions"]
    }


def test_queues_are_those_of_the_code(plan: dict[str, Any]) -> None:
    names = {values["name"].removeprefix(_PREFIX) for values in _planned(plan, "aws_sqs_queue")}
    wanted = {channel.name for channel in channels.ALL if channel.transport is Transport.SQS}
    assert names == wanted | {f"{name}-dlq" for name in wanted}


def test_a_queue_gives_a_message_out_as_often_as_its_channel_says(plan: dict[str, Any]) -> None:
    queue = plan["configuration"]["root_module"]["module_calls"]["queue"]["module"]
    assert queue["variables"]["max_receives"]["default"] == Channel("any", Transport.SQS).max_receives
    planned = {name: queue["max_receives"] for name, queue in names.of_plan(plan)["queues"].items()}
    assert planned == {each.name: each.max_receives for each in channels.ALL if each.transport is Transport.SQS}


def test_buckets_are_those_of_the_code(plan: dict[str, Any], described: dict[str, Any]) -> None:
    buckets = {values["bucket"].removeprefix(_PREFIX) for values in _planned(plan, "aws_s3_bucket")}
    named = {name for service in described.values() for name in service["resources"]}
    assert buckets == {"product-images", "order-documents", BUCKET}
    assert {"product-images", "order-documents"} <= named


def test_each_service_may_use_its_tables_and_no_other(plan: dict[str, Any], described: dict[str, Any]) -> None:
    for service in _SERVICES:
        used = {table["name"] for table in described[service]["tables"]}
        assert _allowed(plan, service, "dynamodb", ":table/") == used


def test_each_service_may_use_its_topics_and_no_other(plan: dict[str, Any], described: dict[str, Any]) -> None:
    for service in _SERVICES:
        used = {channel["name"] for channel in described[service]["channels"] if channel["transport"] == "kafka"}
        sent_exactly_once = set(described[service]["transactions"])
        assert _allowed(plan, service, "kafka", ":transactional-id/souk-prod/*/") == sent_exactly_once
        receipts = {receipts_of(name) for name in sent_exactly_once}
        assert _allowed(plan, service, "kafka", ":topic/souk-prod/*/") == used | receipts


def test_the_function_is_the_one_that_devstack_deploys(plan: dict[str, Any], aws_endpoint: str) -> None:
    deploy.deploy(aws_endpoint, _PREFIX, "ap-south-1")
    functions = boto3.client("lambda", endpoint_url=aws_endpoint, region_name="ap-south-1")
    deployed = functions.get_function_configuration(FunctionName=f"{_PREFIX}notify")
    (planned,) = _planned(plan, "aws_lambda_function")
    assert planned["function_name"] == deployed["FunctionName"]
    assert planned["runtime"] == deployed["Runtime"]
    assert planned["handler"] == deployed["Handler"]
    assert planned["timeout"] == deployed["Timeout"]
    assert planned["memory_size"] == deployed["MemorySize"]
    told = set(deployed["Environment"]["Variables"]) - {"AWS_ENDPOINT_URL"}
    assert set(planned["environment"]["variables"]) == told
    (mapping,) = functions.list_event_source_mappings(FunctionName=f"{_PREFIX}notify")["EventSourceMappings"]
    (wanted,) = _planned(plan, "aws_lambda_event_source_mapping")
    assert wanted["batch_size"] == mapping["BatchSize"]
    assert wanted["function_response_types"] == mapping["FunctionResponseTypes"]


def test_the_functions_queue_is_the_one_that_devstack_deploys(plan: dict[str, Any], aws_endpoint: str) -> None:
    deploy.deploy(aws_endpoint, _PREFIX, "ap-south-1")
    sqs = boto3.client("sqs", endpoint_url=aws_endpoint, region_name="ap-south-1")
    url = sqs.get_queue_url(QueueName=f"{_PREFIX}{channels.NOTIFICATIONS.name}")["QueueUrl"]
    deployed = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["RedrivePolicy", "VisibilityTimeout"])
    redrive = json.loads(deployed["Attributes"]["RedrivePolicy"])
    assert int(redrive["maxReceiveCount"]) == channels.NOTIFICATIONS.max_receives
    (planned,) = (queue for queue in _planned(plan, "aws_sqs_queue") if url.endswith(f"/{queue['name']}"))
    assert planned["visibility_timeout_seconds"] == int(deployed["Attributes"]["VisibilityTimeout"])


def _allowed(plan: dict[str, Any], service: str, api: str, mark: str) -> set[str]:
    prefix = f'module.workload["svc-{service}"].'
    return {
        resource.partition(mark)[2].removeprefix(_PREFIX).partition("/index/")[0].removesuffix("/stream/*")
        for found in evidence.resources(evidence.of_plan(plan))
        if found["type"] == "iam_statement" and found["address"].startswith(prefix)
        for resource in found["values"]["resources"]
        if f":{api}:" in resource and mark in resource
    }
