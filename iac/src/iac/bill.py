"""What an environment costs a month before anybody uses it: what is planned, times `prices.toml`."""

import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from iac import evidence
from iac.facts import Resource
from iac.places import ROOM

_HOURS = 730


@dataclass(frozen=True)
class Line:
    """One line of the bill; `month` is in dollars."""

    what: str
    month: float


def bill(plan: Mapping[str, Any]) -> list[Line]:
    """Return what a planned environment costs a month at rest, with as many nodes as it starts with."""
    found = evidence.resources(evidence.of_plan(plan))
    prices = tomllib.loads((ROOM / "prices.toml").read_text())
    return [
        *_network(found, prices),
        *_compute(found, prices),
        *_stores(found, prices),
        *_small(found, prices["month"]),
    ]


def google_bill(plan: Mapping[str, Any]) -> list[Line]:
    """Return what a planned environment of the analytics costs a month at rest, with its least workers."""
    found = evidence.resources(evidence.of_plan(plan))
    prices = tomllib.loads((ROOM / "prices.toml").read_text())["google"]
    hour = prices["hour"]
    (cluster,) = (values["cluster_config"] for values in _all(found, "google_dataproc_cluster"))
    groups = [cluster["master_config"], cluster["worker_config"]]
    nodes = sum(group["num_instances"] for group in groups)
    hours = sum(group["num_instances"] * hour["node"][group["machine_type"]] for group in groups)
    vcpus = sum(group["num_instances"] * int(group["machine_type"].rpartition("-")[2]) for group in groups)
    disks = sum(group["num_instances"] * group["disk_config"]["boot_disk_size_gb"] for group in groups)
    tunnels = len(_all(found, "google_compute_vpn_tunnel")) * hour["tunnel"]
    connections = len(_all(found, "aws_vpn_connection")) * hour["connection"]
    return [
        Line("masters and workers, with their disks", hours * _HOURS + disks * prices["month"]["disk_gib"]),
        Line("Dataproc's own fee", vcpus * hour["vcpu"] * _HOURS),
        Line("HA VPN, both sides", (tunnels + connections) * _HOURS),
        Line("NAT", nodes * hour["nat"] * _HOURS),
    ]


def table(plans: Mapping[str, Mapping[str, Any]], bill: Callable[[Mapping[str, Any]], list[Line]] = bill) -> str:
    """Return the bills of environments side by side, in Markdown."""
    bills = {name: {line.what: line.month for line in bill(plan)} for name, plan in plans.items()}
    whats = next(iter(bills.values()))
    rows = {what: [months[what] for months in bills.values()] for what in whats}
    rows["**at rest**"] = [sum(months.values()) for months in bills.values()]
    rows["budget, alarm at 80 %"] = [budget(plan) for plan in plans.values()]
    lines = ["| dollars a month | " + " | ".join(bills) + " |", "|---|" + "--:|" * len(bills)]
    lines += [f"| {what} | " + " | ".join(f"{month:,.0f}" for month in months) + " |" for what, months in rows.items()]
    return "\n".join(lines)


def budget(plan: Mapping[str, Any]) -> float:
    """Return what an environment may cost a month, in dollars."""
    found = evidence.resources(evidence.of_plan(plan))
    google = [values["amount"]["specified_amount"]["units"] for values in _all(found, "google_billing_budget")]
    return sum(map(float, google)) + sum(float(values["limit_amount"]) for values in _all(found, "aws_budgets_budget"))


def _network(found: Sequence[Resource], prices: Mapping[str, Any]) -> Iterator[Line]:
    hour = prices["hour"]
    zones = len({values["availability_zone"] for values in _all(found, "aws_subnet")})
    interfaces = sum(values["vpc_endpoint_type"] == "Interface" for values in _all(found, "aws_vpc_endpoint"))
    nats = len(_all(found, "aws_nat_gateway"))
    yield Line("NAT gateways with their addresses", nats * (hour["nat"] + hour["address"]) * _HOURS)
    yield Line("endpoints of AWS' APIs in each zone", interfaces * zones * hour["endpoint"] * _HOURS)


def _compute(found: Sequence[Resource], prices: Mapping[str, Any]) -> Iterator[Line]:
    yield Line("Kubernetes' control plane", len(_all(found, "aws_eks_cluster")) * prices["hour"]["cluster"] * _HOURS)
    (group,), (template,) = _all(found, "aws_eks_node_group"), _all(found, "aws_launch_template")
    one = prices["hour"]["node"][group["instance_types"][0]] * _HOURS
    disk = template["block_device_mappings"]["ebs"]["volume_size"] * prices["month"]["node_gib"]
    yield Line("nodes with their disks", group["scaling_config"]["desired_size"] * (one + disk))


def _stores(found: Sequence[Resource], prices: Mapping[str, Any]) -> Iterator[Line]:
    for values in _all(found, "aws_db_instance"):
        one = prices["hour"]["database"][values["instance_class"]] * _HOURS
        disk = values["allocated_storage"] * prices["month"]["database_gib"]
        yield Line("PostgreSQL, with its standby where there is one", (one + disk) * (2 if values["multi_az"] else 1))
    for values in _all(found, "aws_msk_cluster"):
        brokers = values["broker_node_group_info"]
        one = prices["hour"]["broker"][brokers["instance_type"]] * _HOURS
        disk = brokers["storage_info"]["ebs_storage_info"]["volume_size"] * prices["month"]["broker_gib"]
        yield Line("Kafka's brokers with their disks", values["number_of_broker_nodes"] * (one + disk))


def _small(found: Sequence[Resource], month: Mapping[str, float]) -> Iterator[Line]:
    count = {
        "key": len(_all(found, "aws_kms_key")),
        "secret": len(_all(found, "aws_secretsmanager_secret")),
        "alarm": len(_all(found, "aws_cloudwatch_metric_alarm")),
    }
    yield Line("keys, secrets, alarms", sum(number * month[kind] for kind, number in count.items()))


def _all(found: Sequence[Resource], kind: str) -> list[Mapping[str, Any]]:
    return [resource["values"] for resource in found if resource["type"] == kind]
