"""The shop runs on what Terraform made, and the services add nothing of their own."""

import json
import time
from pathlib import Path
from typing import Any

import boto3
import pytest
from rich.console import Console

from devstack.demo import Options, replay_and_prove
from devstack.settings import StackSettings
from devstack.stack import Stack

pytestmark = pytest.mark.timeout(900)

_BASKETS = 20


def _names(endpoint: str, region: str) -> dict[str, set[str]]:
    def client(service: str) -> Any:
        return boto3.client(service, endpoint_url=endpoint, region_name=region)  # type: ignore[call-overload]  # the name is a variable

    return {
        "tables": set(client("dynamodb").list_tables()["TableNames"]),
        "queues": {url.rpartition("/")[2] for url in client("sqs").list_queues()["QueueUrls"]},
        "buckets": {bucket["Name"] for bucket in client("s3").list_buckets()["Buckets"]},
        "functions": {found["FunctionName"] for found in client("lambda").list_functions()["Functions"]},
    }


async def test_the_shop_runs_on_what_terraform_made_and_the_audit_finds_nothing(tmp_path: Path) -> None:
    settings = StackSettings.on_free_ports(tmp_path / "home").model_copy(update={"iac": True, "analytics": False})
    stack = Stack(settings)
    try:
        await stack.up()
        outputs = json.loads(settings.outputs_file.read_text())
        report = await replay_and_prove(Options(baskets=_BASKETS), settings, stack, Console(), time.monotonic())
        names = _names(settings.aws_endpoint_url, settings.aws_region)
    finally:
        await stack.down()
    assert report["findings"] == []
    assert report["confirmed"] > 0
    assert report["notifications"] == report["confirmed"]
    queues = outputs["queues"].values()
    assert names == {
        "tables": set(outputs["tables"].values()),
        "queues": {queue["name"] for queue in queues} | {queue["dead_letters"] for queue in queues},
        "buckets": set(outputs["buckets"].values()),
        "functions": {outputs["notify_function"]},
    }
