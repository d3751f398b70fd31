"""Doors in the network, one resource for each rule that lets something in, however it is written."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_WORLD = ("0.0.0.0/0", "::/0")
_BALANCER = ("module.network.aws_vpc_security_group_ingress_rule.balancer",)
_WEB = (80, 443)


def doors(resources: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield a `network_door` for each ingress rule."""
    for resource in resources:
        for at, rule in enumerate(_rules(resource)):
            yield {
                "address": f"{resource['address']}.door[{at}]",
                "mode": "managed",
                "type": "network_door",
                "name": str(at),
                "values": {"from": _source(rule), "leads_to": _target(resource, rule)},
            }


def _rules(resource: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    values = resource["values"]
    if resource["type"] == "aws_vpc_security_group_ingress_rule" or (
        resource["type"] == "aws_security_group_rule" and values.get("type") == "ingress"
    ):
        yield values
    elif resource["type"] == "google_compute_firewall":
        yield from _google(values)
    elif resource["type"] in ("aws_security_group", "aws_default_security_group"):
        inline = values.get("ingress")
        rules = inline if isinstance(inline, list) else [inline]
        yield from (rule for rule in rules if isinstance(rule, Mapping))


def _google(values: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    # Without a source, Google lets everybody in.
    named = values.get("source_tags") or values.get("source_service_accounts")
    if values.get("direction") == "INGRESS" and values.get("allow"):
        yield {"cidr_blocks": values.get("source_ranges") or ([] if named else ["0.0.0.0/0"])}


def _source(rule: Mapping[str, Any]) -> str:
    blocks = [rule.get("cidr_ipv4"), rule.get("cidr_ipv6")]
    blocks += rule.get("cidr_blocks") or []
    blocks += rule.get("ipv6_cidr_blocks") or []
    return "world" if any(block in _WORLD for block in blocks) else "known networks"


def _target(resource: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
    web = rule.get("from_port") == rule.get("to_port") and rule.get("from_port") in _WEB
    return "balancer" if resource["address"].startswith(_BALANCER) and web else "something else"
