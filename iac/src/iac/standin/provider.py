"""The stand-in as a Terraform plugin: `provider.py <schemas.json>`, in an environment of its own, with the library tf.

It is a schema check and no cloud: it refuses what the real provider's schema refuses, plans new resources with every
value that only the cloud knows as unknown, and cannot apply.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tf.provider
from tf.gen import tfplugin_pb2 as pb
from tf.runner import run_provider
from tf.types import Unknown
from tf.utils import read_dynamic_value, to_dynamic_value

_NESTING = pb.Schema.NestedBlock.NestingMode
_REFUSAL = "This is a schema stand-in, not the provider: it checks and plans, but has no cloud to speak to."


@dataclass
class StandIn:
    """Answers Terraform's calls from the schemas; each method is one call of the plugin protocol 6."""

    schemas: Mapping[str, Any]
    common: dict[str, str] = field(default_factory=dict)  # tags or labels that the provider gives to everything

    def GetMetadata(self, _request: Any, _context: Any) -> Any:  # noqa: N802 -- the protocol's name
        """Say that the schema is to be asked for."""
        return pb.GetMetadata.Response(server_capabilities=pb.ServerCapabilities())

    def GetProviderSchema(self, _request: Any, _context: Any) -> Any:  # noqa: N802 -- the protocol's name
        """Return every schema."""
        return pb.GetProviderSchema.Response(
            provider=_schema(self.schemas["provider"]),
            resource_schemas={kind: _schema(said) for kind, said in self.schemas["resource"].items()},
            data_source_schemas={kind: _schema(said) for kind, said in self.schemas["data"].items()},
        )

    def ValidateProviderConfig(self, _request: Any, _context: Any) -> Any:  # noqa: N802 -- the protocol's name
        """Accept: Terraform itself has held it against the schema."""
        return pb.ValidateProviderConfig.Response()

    def ValidateResourceConfig(self, request: Any, _context: Any) -> Any:  # noqa: N802 -- the protocol's name
        """Refuse values that only the cloud gives; Terraform itself has held the rest against the schema."""
        block = self.schemas["resource"][request.type_name]["block"]
        wrong = [_unconfigurable(path) for path in given_by_the_cloud(block, read_dynamic_value(request.config))]
        return pb.ValidateResourceConfig.Response(diagnostics=wrong)

    def ValidateDataResourceConfig(self, _request: Any, _context: Any) -> Any:  # noqa: N802 -- the protocol's name
        """Accept: Terraform itself has held it against the schema."""
        return pb.ValidateDataResourceConfig.Response()

    def ConfigureProvider(self, request: Any, _context: Any) -> Any:  # noqa: N802 -- the protocol's name
        """Remember what the provider gives to everything; there is nobody to log in to."""
        config = read_dynamic_value(request.config)
        self.common = config.get("default_labels") or {}
        for block in config.get("default_tags") or ():
            self.common |= block["tags"] or {}
        return pb.ConfigureProvider.Response()

    def PlanResourceChange(self, request: Any, _context: Any) -> Any:  # noqa: N802 -- the protocol's name
        """Plan a new resource."""
        block = self.schemas["resource"][request.type_name]["block"]
        planned = filled(block, told(block, read_dynamic_value(request.proposed_new_state), self.common))
        return pb.PlanResourceChange.Response(planned_state=to_dynamic_value(planned))

    def ApplyResourceChange(self, _request: Any, _context: Any) -> Any:  # noqa: N802 -- the protocol's name
        """Refuse."""
        return pb.ApplyResourceChange.Response(diagnostics=[_refusal()])

    def ReadDataSource(self, request: Any, _context: Any) -> Any:  # noqa: N802 -- the protocol's name
        """Refuse, but for what needs no cloud to be read."""
        if request.type_name != "aws_iam_policy_document":
            return pb.ReadDataSource.Response(diagnostics=[_refusal()])
        config = read_dynamic_value(request.config)
        document = policy(config)
        read = {**config, "id": "0", "json": document, "minified_json": document}
        return pb.ReadDataSource.Response(state=to_dynamic_value(read))

    def StopProvider(self, _request: Any, _context: Any) -> Any:  # noqa: N802 -- the protocol's name
        """Agree."""
        return pb.StopProvider.Response()

    def __getattr__(self, call: str) -> Any:
        """Answer any other call with what Terraform takes for "not supported"."""
        return getattr(tf.provider.rpc.ProviderServicer(), call)


def filled(block: Mapping[str, Any], value: Any) -> Any:
    """Return a block's value, or a list of them, with what is computed and not set as unknown."""
    if isinstance(value, list):
        return [filled(block, item) for item in value]
    if not isinstance(value, dict):
        return value
    computed = {name for name, said in block["attributes"].items() if said.get("computed")}
    left = {name: Unknown for name in computed if value[name] is None}
    inner = {name: filled(nested["block"], value[name]) for name, nested in block["block_types"].items()}
    return {**value, **left, **inner}


def given_by_the_cloud(block: Mapping[str, Any], value: Any) -> Iterator[str]:
    """Yield the paths of what is set, though only the cloud sets it."""
    if isinstance(value, list):
        for item in value:
            yield from given_by_the_cloud(block, item)
    elif isinstance(value, dict):
        for name, said in block["attributes"].items():
            if value[name] is not None and not (said.get("required") or said.get("optional")):
                yield name
        for name, nested in block["block_types"].items():
            yield from (f"{name}.{path}" for path in given_by_the_cloud(nested["block"], value[name]))


def told(block: Mapping[str, Any], value: dict[str, Any], common: Mapping[str, str]) -> dict[str, Any]:
    """Return a resource's value with its tags or labels and the common ones together, as both providers plan them."""
    written = {"tags_all": "tags", "terraform_labels": "labels", "effective_labels": "labels"}
    names = {name: own for name, own in written.items() if name in block["attributes"] and own in value}
    return {**value, **{name: _together(common, value[own]) for name, own in names.items()}}


def _together(common: Mapping[str, str], own: Any) -> Any:
    return own if own is Unknown else {**common, **(own or {})}


def policy(config: Mapping[str, Any]) -> str:
    """Return the JSON that `aws_iam_policy_document` makes."""
    statements = [_statement(said) for said in config["statement"] or ()]
    return json.dumps({"Version": config["version"] or "2012-10-17", "Statement": statements})


def _statement(said: Mapping[str, Any]) -> dict[str, Any]:
    lists = {"Action": "actions", "NotAction": "not_actions", "Resource": "resources", "NotResource": "not_resources"}
    people = {"Principal": "principals", "NotPrincipal": "not_principals"}
    return {
        "Effect": said["effect"] or "Allow",
        **({"Sid": said["sid"]} if said["sid"] else {}),
        **{key: _alone(said[name]) for key, name in lists.items() if said[name]},
        **{key: _principals(said[name]) for key, name in people.items() if said[name]},
        **({"Condition": _conditions(said["condition"])} if said["condition"] else {}),
    }


def _principals(said: list[dict[str, Any]]) -> Any:
    if any(one["type"] == "*" for one in said):
        return "*"
    return {one["type"]: _alone(one["identifiers"]) for one in said}


def _conditions(said: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for one in said:
        found.setdefault(one["test"], {})[one["variable"]] = _alone(one["values"])
    return found


def _alone(value: list[str]) -> str | list[str]:
    return value[0] if len(value) == 1 else value


def _schema(said: Mapping[str, Any]) -> Any:
    return pb.Schema(version=said["version"], block=_block(said["block"]))


def _block(said: Mapping[str, Any]) -> Any:
    return pb.Schema.Block(attributes=_attributes(said["attributes"]), block_types=_nested(said["block_types"]))


def _attributes(said: Mapping[str, Any]) -> Iterator[Any]:
    for name, attribute in said.items():
        flags = {flag: True for flag in ("required", "optional", "computed") if attribute.get(flag)}
        yield pb.Schema.Attribute(name=name, type=json.dumps(attribute["type"]).encode(), **flags)


def _nested(said: Mapping[str, Any]) -> Iterator[Any]:
    for name, nested in said.items():
        limits = {limit: nested.get(limit, 0) for limit in ("min_items", "max_items")}
        mode = _NESTING.Value(nested["nesting_mode"].upper())
        yield pb.Schema.NestedBlock(type_name=name, nesting=mode, block=_block(nested["block"]), **limits)


def _unconfigurable(path: str) -> Any:
    summary = "Value for unconfigurable attribute"
    return pb.Diagnostic(severity=pb.Diagnostic.ERROR, summary=summary, detail=f"{path} is given by the cloud.")


def _refusal() -> Any:
    return pb.Diagnostic(severity=pb.Diagnostic.ERROR, summary=_REFUSAL)


if __name__ == "__main__":
    # The runner speaks the handshake; what it would serve is a provider that acts, so it is given ours.
    tf.provider.ProviderServicer = StandIn
    run_provider(json.loads(Path(sys.argv[1]).read_text()), [])
