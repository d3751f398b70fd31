"""A picture of what stands where, drawn from the plan's JSON: subnets, what is in them, and who may use what."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from iac import evidence
from iac.facts import Resource

_KINDS = {"dynamodb": "table", "s3": "bucket", "sqs": "queue"}
_ARN = re.compile(r"^arn:aws:(dynamodb|s3|sqs|kafka):[^:]*:[^:]*:(.+)$")


def draw(plan: Mapping[str, Any]) -> str:
    """Return the picture of a planned environment, in Mermaid's language."""
    found = evidence.resources(evidence.of_plan(plan))
    name = str(_only(found, "aws_eks_cluster")["name"])
    lines = ["flowchart TB", *_network(found), *_around(found, name), *_arrows(found, name)]
    return "\n".join(lines)


def _network(found: Sequence[Resource]) -> Iterator[str]:
    vpc, cluster = _only(found, "aws_vpc"), _only(found, "aws_eks_cluster")
    nodes, database, broker = (
        _only(found, kind) for kind in ("aws_eks_node_group", "aws_db_instance", "aws_msk_cluster")
    )
    scaling = nodes["scaling_config"]
    zones = len({values["availability_zone"] for values in _all(found, "aws_subnet")})
    endpoints = sorted(str(values["service_name"]).split(".", 3)[3] for values in _all(found, "aws_vpc_endpoint"))
    yield "  internet((internet))"
    yield f'  subgraph vpc["VPC {vpc["cidr_block"]}, {zones} zones"]'
    yield '    subgraph public["public subnets"]'
    yield "      balancer[load balancer]"
    yield f'      nat["{len(_all(found, "aws_nat_gateway"))} NAT"]'
    yield "    end"
    yield '    subgraph private["private subnets"]'
    yield f'      endpoints["endpoints: {", ".join(endpoints)}"]'
    sizes = f"{scaling['min_size']} to {scaling['max_size']} {', '.join(nodes['instance_types'])}"
    yield f'      subgraph eks["EKS {cluster["version"]}, {sizes}"]'
    yield from (f"        {_id(workload)}[{workload}]" for workload in _workloads(found))
    yield "      end"
    yield "    end"
    yield '    subgraph data["data subnets, no way out"]'
    standby = " with standby" if database["multi_az"] else ""
    yield f'      postgres[("PostgreSQL {database["engine_version"]}, {database["instance_class"]}{standby}")]'
    size = f"{broker['number_of_broker_nodes']} {broker['broker_node_group_info']['instance_type']}"
    yield f'      kafka{{{{"Kafka {broker["kafka_version"]}, {size}"}}}}'
    yield "    end"
    yield "  end"


def _around(found: Sequence[Resource], name: str) -> Iterator[str]:
    yield '  subgraph regional["of the region"]'
    for kind, argument, mark, shape in (
        ("aws_dynamodb_table", "name", "table", '[("{}")]'),
        ("aws_s3_bucket", "bucket", "bucket", '[("{} (S3)")]'),
        ("aws_sqs_queue", "name", "queue", '[["{}"]]'),
        ("aws_lambda_function", "function_name", "function", '["{} (Lambda)"]'),
    ):
        for values in _all(found, kind):
            short = str(values[argument]).removeprefix(f"{name}-")
            yield f"    {_id(f'{mark} {short}')}{shape.format(short)}"
    yield f'    mail["mail of {_only(found, "aws_sesv2_email_identity")["email_identity"]}"]'
    yield f'    registry["{len(_all(found, "aws_ecr_repository"))} image repositories"]'
    yield f'    secrets["{len(_all(found, "aws_secretsmanager_secret"))} secrets"]'
    yield "  end"


def _arrows(found: Sequence[Resource], name: str) -> Iterator[str]:
    if any(door["from"] == "world" and door["leads_to"] == "balancer" for door in _all(found, "network_door")):
        yield "  internet --> balancer"
    yield "  balancer --> eks"
    yield "  eks --> nat --> internet"
    for workload in _workloads(found):
        holder = f'module.workload["{workload}"].'
        yield from (f"  {_id(workload)} --> {_id(thing)}" for thing in _used(found, holder, name))
    for thing in _used(found, "module.notify.", name):
        yield (
            f"  {_id(thing)} --> function_notify"
            if thing.startswith("queue")
            else f"  function_notify --> {_id(thing)}"
        )
    yield "  function_notify --> mail"
    for values in _all(found, "aws_sqs_queue"):
        if values["dead_letters"] == "has some":
            queue = _id(f"queue {values['name']}".replace(f"{name}-", ""))
            yield f"  {queue} -.->|could not be handled| {queue}_dlq"
    yield "  eks --> postgres"


def _used(found: Sequence[Resource], holder: str, name: str) -> list[str]:
    """Return what the statements of a holder let it use: tables, buckets, queues, and Kafka as one."""
    used = set()
    for resource in found:
        if resource["type"] == "iam_statement" and resource["address"].startswith(holder):
            for arn in resource["values"]["resources"]:
                if match := _ARN.match(arn):
                    thing = re.split(r"[/:]", match[2].removeprefix("table/"))[0].removeprefix(f"{name}-")
                    used.add(f"{_KINDS[match[1]]} {thing}" if match[1] in _KINDS else match[1])
    return sorted(used)


def _workloads(found: Sequence[Resource]) -> list[str]:
    return sorted(
        str(values["service_account"])
        for values in _all(found, "aws_eks_pod_identity_association")
        if values["namespace"] == "souk"
    )


def _id(name: str) -> str:
    return re.sub(r"\W", "_", name)


def _all(found: Sequence[Resource], kind: str) -> list[Mapping[str, Any]]:
    return [resource["values"] for resource in found if resource["type"] == kind]


def _only(found: Sequence[Resource], kind: str) -> Mapping[str, Any]:
    (values,) = _all(found, kind)
    return values
