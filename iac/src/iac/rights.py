"""Rights in policies, one resource for each statement that allows something."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

IDENTITIES = {
    "aws_iam_role_policy": "policy",
    "aws_iam_policy": "policy",
    "aws_iam_user_policy": "policy",
    "aws_iam_role": "assume_role_policy",
}
"""Where policies of roles and users are written, by type."""

# Their "*" is the one thing that the policy hangs on.
THINGS = {"aws_kms_key": "policy", "aws_sns_topic_policy": "policy"}
"""Where policies of things are written, by type."""

# They take a role from nobody but its own account, and send no aws:SourceAccount.
_OF_ONE_ACCOUNT = ("ec2.amazonaws.com", "eks.amazonaws.com", "lambda.amazonaws.com")

# What these change is made by controllers, under names nobody knows before: a tag says whose it is.
_BOUND_BY_TAG = ("autoscaling:", "elasticloadbalancing:")
_UNBOUND = (
    "autoscaling:Describe",
    "elasticloadbalancing:Describe",
    "elasticloadbalancing:Create",
    "elasticloadbalancing:AddTags",
)

# Actions for which AWS offers no resource: "*" is the only thing one can write.
_WITHOUT_RESOURCE = (
    "autoscaling:Describe",
    "ec2:Describe",
    "ec2:GetInstanceTypesFromInstanceRequirements",
    "ecr:GetAuthorizationToken",
    "elasticloadbalancing:Describe",
    "acm:ListCertificates",
    "sqs:ListQueues",
)


def statements(resources: Sequence[Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield an `iam_statement` for each statement of a role or user, a `grant` for each of a thing."""
    for resource in resources:
        for holders, kind, tell in ((IDENTITIES, "iam_statement", _rights), (THINGS, "grant", _grants)):
            policy = resource["values"].get(holders.get(resource["type"], ""))
            for at, statement in enumerate(allowed(policy)):
                yield {
                    "address": f"{resource['address']}.statement[{statement.get('Sid', at)}]",
                    "mode": "managed",
                    "type": kind,
                    "name": str(statement.get("Sid", at)),
                    "values": tell(statement),
                }


def allowed(policy: Any) -> list[dict[str, Any]]:
    """Return the statements of a policy's JSON that allow; a policy nobody can read yet is one that allows all."""
    try:
        said = json.loads(policy)["Statement"] if policy else []
    except (TypeError, ValueError, KeyError):
        return [{"Sid": "unknown", "Effect": "Allow", "Action": "*", "Resource": "*"}]
    return [statement for statement in listed(said) if statement.get("Effect") == "Allow"]


def denies_plain_text(policy: Any, name: str) -> bool:
    """Tell whether a resource's policy denies everyone everything on `name` without TLS."""
    try:
        said = listed(json.loads(policy)["Statement"])
    except (TypeError, ValueError, KeyError):
        return False
    return any(
        statement.get("Effect") == "Deny"
        and statement.get("Principal") in ("*", {"AWS": "*"})
        and statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport") in ("false", ["false"])
        and any(str(resource).endswith(f":{name}") for resource in listed(statement.get("Resource")))
        for statement in said
    )


def listed(value: Any) -> list[Any]:
    """Return a value that may stand alone as a list."""
    return value if isinstance(value, list) else [value]


def _grants(statement: Mapping[str, Any]) -> dict[str, Any]:
    return {"trusts": _trusts(statement), "acts_for": _acts_for(statement)}


def _rights(statement: Mapping[str, Any]) -> dict[str, Any]:
    actions = [str(action) for action in listed(statement.get("Action", []))]
    resources = [str(resource) for resource in listed(statement.get("Resource", []))]
    narrowable = [action for action in actions if not action.startswith(_WITHOUT_RESOURCE)]
    conditions = statement.get("Condition", {})
    return {
        "actions": actions,
        "resources": resources,
        "wildcard_action": any("*" in action for action in actions) or "NotAction" in statement,
        "wildcard_resource": ("*" in resources and bool(narrowable)) or "NotResource" in statement,
        "keys": _keys(resources, conditions),
        "bound": _bound(actions, conditions),
        "audience": _audience(statement),
        "google": _google(statement),
        **_grants(statement),
    }


def _bound(actions: Sequence[str], conditions: Mapping[str, Any]) -> str:
    if not any(action.startswith(_BOUND_BY_TAG) and not action.startswith(_UNBOUND) for action in actions):
        return "needs no tag"
    return "by tag" if "aws:ResourceTag/" in json.dumps(conditions) else "by nothing"


def _acts_for(statement: Mapping[str, Any]) -> str:
    """Tell for whose sake a service may use it: asked by a stranger, it must not (the confused deputy)."""
    principal = statement.get("Principal")
    services = listed(principal.get("Service", [])) if isinstance(principal, Mapping) else []
    if not set(services) - set(_OF_ONE_ACCOUNT):
        return "no stranger"
    return "our account" if "aws:SourceAccount" in statement.get("Condition", {}).get("StringEquals", {}) else "anybody"


def _keys(resources: Sequence[str], conditions: Mapping[str, Any]) -> str:
    if not any(":key/*" in resource for resource in resources):
        return "none or named"
    return "by alias" if "kms:ResourceAliases" in json.dumps(conditions) else "every key"


def _trusts(statement: Mapping[str, Any]) -> str:
    principal = statement.get("Principal")
    if principal is None:
        return "holder"
    return (
        "anyone" if principal == "*" or "*" in [who for many in principal.values() for who in listed(many)] else "named"
    )


def _audience(statement: Mapping[str, Any]) -> str:
    """Tell whose tokens a trust in GitHub takes: one repository's and environment's, or more."""
    if "token.actions.githubusercontent.com" not in json.dumps(statement.get("Principal", {})):
        return "not github"
    equal = statement.get("Condition", {}).get("StringEquals", {})
    if listed(equal.get("token.actions.githubusercontent.com:aud")) != ["sts.amazonaws.com"]:
        return "anyone on github"
    subjects = equal.get("token.actions.githubusercontent.com:sub")
    return ", ".join(map(str, listed(subjects))) if subjects else "anyone on github"


def _google(statement: Mapping[str, Any]) -> str:
    """Tell which account of Google's a trust takes; Google signs for millions."""
    if "accounts.google.com" not in json.dumps(statement.get("Principal", {})):
        return "not google"
    equal = statement.get("Condition", {}).get("StringEquals", {})
    accounts = listed(equal.get("accounts.google.com:sub", []))
    return f"account {accounts[0]}" if len(accounts) == 1 and equal.get("accounts.google.com:oaud") else "anyone"
