"""Deploys the Lambda to an AWS endpoint: function, table, queue with dead letters, mapping, sender. Idempotent.

`python -m fn_notify.deploy`; for local machines and tests, in the cloud Terraform does it.
"""

import io
import json
import os
import time
import zipfile
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

SENDER = "orders@souk.example"
_MAX_RECEIVES = 5  # as the contract of the queue has it, where the reason stands (contracts.channels)
_VISIBILITY_SECONDS = 60
_BATCH = 10
_READY_SECONDS = 30


def deploy(endpoint: str, prefix: str, region: str) -> str:
    """Deploy everything; return the function's ARN."""
    config = Config(retries={"max_attempts": 5, "mode": "standard"})

    def client(service: str) -> Any:
        return boto3.client(service, endpoint_url=endpoint, region_name=region, config=config)  # type: ignore[call-overload]  # the name is a variable

    _table(client("dynamodb"), f"{prefix}notifications")
    queue = _queue(client("sqs"), f"{prefix}notifications")
    client("ses").verify_email_identity(EmailAddress=SENDER)
    functions = client("lambda")
    arn = _function(functions, f"{prefix}notify", _environment(endpoint, prefix))
    _mapping(functions, f"{prefix}notify", queue)
    return arn


def bundle() -> bytes:
    """Return the function's code as a zip; only the handler, since boto3 is in Lambda's runtime."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(Path(__file__).with_name("handler.py"), "handler.py")
    return buffer.getvalue()


def _environment(endpoint: str, prefix: str) -> dict[str, str]:
    return {"NOTIFICATIONS_TABLE": f"{prefix}notifications", "NOTIFY_SENDER": SENDER, "AWS_ENDPOINT_URL": endpoint}


def _table(dynamodb: Any, name: str) -> None:
    try:
        dynamodb.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": "notification_id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "notification_id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
    except ClientError as error:
        _unless(error, "ResourceInUseException")


def _queue(sqs: Any, name: str) -> str:
    """Create queue and dead letters, or set the redrive of one that is there; return the queue's ARN."""
    dead = sqs.create_queue(QueueName=f"{name}-dlq")["QueueUrl"]
    redrive = json.dumps({"deadLetterTargetArn": _arn(sqs, dead), "maxReceiveCount": _MAX_RECEIVES})
    try:
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    except sqs.exceptions.QueueDoesNotExist:
        url = sqs.create_queue(QueueName=name)["QueueUrl"]
    sqs.set_queue_attributes(
        QueueUrl=url, Attributes={"RedrivePolicy": redrive, "VisibilityTimeout": str(_VISIBILITY_SECONDS)}
    )
    return _arn(sqs, url)


def _arn(sqs: Any, url: str) -> str:
    return str(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"])


def _function(functions: Any, name: str, environment: dict[str, str]) -> str:
    code = bundle()
    try:
        answer = functions.create_function(
            FunctionName=name,
            Runtime="python3.12",
            Role="arn:aws:iam::000000000000:role/notify",
            Handler="handler.handle",
            Code={"ZipFile": code},
            Timeout=30,
            MemorySize=256,
            Environment={"Variables": environment},
        )
    except ClientError as error:
        _unless(error, "ResourceConflictException")
        functions.update_function_code(FunctionName=name, ZipFile=code)
        answer = functions.update_function_configuration(FunctionName=name, Environment={"Variables": environment})
    _wait_active(functions, name)
    return str(answer["FunctionArn"])


def _wait_active(functions: Any, name: str) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while functions.get_function_configuration(FunctionName=name).get("State", "Active") == "Pending":
        if time.monotonic() > deadline:
            raise TimeoutError(f"the function {name} is not active after {_READY_SECONDS} s")
        time.sleep(0.1)


def _mapping(functions: Any, name: str, queue: str) -> None:
    existing = functions.list_event_source_mappings(FunctionName=name, EventSourceArn=queue)["EventSourceMappings"]
    if not existing:
        functions.create_event_source_mapping(
            FunctionName=name,
            EventSourceArn=queue,
            BatchSize=_BATCH,
            FunctionResponseTypes=["ReportBatchItemFailures"],
            # The least that Lambda allows: each worker more is a process more on this machine.
            ScalingConfig={"MaximumConcurrency": 2},
        )


def _unless(error: ClientError, code: str) -> None:
    if error.response["Error"]["Code"] != code:
        raise error


if __name__ == "__main__":
    deployed = deploy(
        os.environ.get("SOUK_AWS_ENDPOINT_URL", "http://127.0.0.1:54566"),
        os.environ.get("SOUK_AWS_PREFIX", "souk-"),
        os.environ.get("SOUK_AWS_REGION", "ap-south-1"),
    )
    print(f"deployed {deployed}")  # noqa: T201 -- a command line speaks
