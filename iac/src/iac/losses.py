"""Every protection that a plan could lose, one at a time: a key, a tag, dead letters, what narrows a right.

A mutation of each resource as it is planned; whatever the loss, some policy must see it.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from iac import evidence, rights
from iac.facts import TAGS, Resource

_KEY = re.compile(r"^(kms_(master_)?key(_id|_arn)?|key_arn|\w+_kms_key(_id|_arn))$")
_SWITCH = re.compile(r"^(\w+_)?encrypted$|^enable_key_rotation$|^in_cluster$")
_CHOICE = ("client_broker", "encryption_type", "sse_algorithm", "tls_policy")

# Each says something about another resource, which loses that when it is gone.
_SATELLITES = (
    "aws_s3_bucket_policy",
    "aws_s3_bucket_public_access_block",
    "aws_s3_bucket_server_side_encryption_configuration",
    "aws_s3_bucket_versioning",
    "aws_sns_topic_policy",
    "aws_sqs_queue_policy",
    "aws_sqs_queue_redrive_allow_policy",
)

Changed = Resource | None
"""A resource as it is after a loss; None is gone."""


@dataclass
class Losses:
    """A document in which each loss is there beside what is sound, and the addresses at which it shows."""

    document: dict[str, Any]
    addresses: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, plain: Sequence[Resource]) -> "Losses":
        """Return all losses of planned resources."""
        document = evidence.document(plain)
        found = cls(document)
        sound = {resource["address"]: resource for resource in evidence.resources(document)}
        shown: dict[str, str] = {}
        for at, resource in enumerate(plain):
            for name, changed in losses(resource):
                rest = [*plain[:at], *([] if changed is None else [changed]), *plain[at + 1 :]]
                found.addresses[f"{resource['address']}: {name}"] = set(found._show(rest, sound, shown))
        return found

    def _show(self, plain: Sequence[Resource], sound: Mapping[str, Resource], shown: dict[str, str]) -> Iterator[str]:
        """Put what is unlike the sound into the document, once for equal values; yield its addresses."""
        for resource in evidence.resources(evidence.document(plain)):
            if resource == sound.get(resource["address"]):
                continue
            looks = json.dumps([resource["type"], resource["values"]])
            if looks not in shown:
                shown[looks] = f"{resource['type']}.lost[{len(shown)}]"
                evidence.resources(self.document).append({**resource, "address": shown[looks]})
            yield shown[looks]


def losses(resource: Resource) -> Iterator[tuple[str, Changed]]:
    """Yield each loss of a planned resource with what is left of it."""
    values = resource["values"]
    for what, left in _values(values):
        yield what, {**resource, "values": left}
    if resource["type"] in _SATELLITES:
        yield "itself", None
    for holders in (rights.IDENTITIES, rights.THINGS):
        argument = holders.get(resource["type"], "")
        if values.get(argument):
            for what, policy in _policies(values[argument], narrow=holders is rights.IDENTITIES):
                yield what, {**resource, "values": {**values, argument: policy}}


def _values(values: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, value in values.items():
        rest = {other: kept for other, kept in values.items() if other != name}
        if (_KEY.match(name) and value) or name in _CHOICE or (name == "redrive_policy" and value):
            yield name, rest
        elif _SWITCH.match(name) and value:
            yield name, {**values, name: False}
        elif name in ("tags_all", "tag_specifications") and value:
            yield from ((f"tag {what}", {**values, name: left}) for what, left in _tags(value))
        elif isinstance(value, Mapping):
            yield from ((f"{name}.{what}", {**values, name: left}) for what, left in _values(value))


def _tags(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list):
        for at, part in enumerate(value):
            yield from ((f"{what} of {at}", [*value[:at], left, *value[at + 1 :]]) for what, left in _tags(part))
    elif "tags" in value:
        yield from ((what, {**value, "tags": left}) for what, left in _tags(value["tags"]))
    else:
        yield from ((tag, {name: kept for name, kept in value.items() if name != tag}) for tag in TAGS if tag in value)


def _policies(policy: str, *, narrow: bool) -> Iterator[tuple[str, str]]:
    said = json.loads(policy)
    statements = rights.listed(said["Statement"])
    for at, statement in enumerate(statements):
        name = statement.get("Sid", at)
        for what, left in _statements(statement, narrow=narrow):
            rest = [*statements[:at], *([left] if left else []), *statements[at + 1 :]]
            yield f"{what} of {name}", json.dumps({**said, "Statement": rest})


def _statements(statement: Mapping[str, Any], *, narrow: bool) -> Iterator[tuple[str, dict[str, Any] | None]]:
    if statement["Effect"] == "Deny":
        yield "denial", None
        return
    for test, asked in statement.get("Condition", {}).items():
        for variable in asked:
            rest = {name: value for name, value in asked.items() if name != variable}
            yield f"condition {variable}", {**statement, "Condition": {**statement["Condition"], test: rest}}
    if "Principal" in statement:
        yield "principal", {**statement, "Principal": "*"}
    if narrow and "Resource" in statement and rights.listed(statement["Resource"]) != ["*"]:
        yield "resource", {**statement, "Resource": "*"}
    if narrow:
        service = str(rights.listed(statement["Action"])[0]).partition(":")[0]
        yield "action", {**statement, "Action": f"{service}:*"}
