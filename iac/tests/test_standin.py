"""The stand-in refuses what the real provider's schema refuses, plans what it accepts, and describes types alike."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from iac import evidence, policies, providers, terraform
from iac.errors import NoProvider, TerraformFailed
from iac.places import ROOM, plugins
from iac.policies import Verdict
from iac.standin import schemas
from iac.standin.mirror import mirror
from iac.workspace import Workspace

_HEAD = (ROOM / "modules" / "gcp" / "key" / "versions.tf").read_text()
_GOOD = """
resource "google_bigquery_dataset" "this" {
  dataset_id = "analytics"
  location   = "asia-south1"
}

resource "google_bigquery_table" "this" {
  dataset_id = google_bigquery_dataset.this.dataset_id
  table_id   = "minutes"

  time_partitioning {
    type = "DAY"
  }
}

output "made" {
  value = google_bigquery_table.this.self_link
}
"""
# Each in a resource of its own, so that one run tells them all.
_MISTAKES = {
    "a_misspelt_argument": ('location = "x"\n  dataset_name = "analytics"\n  dataset_id = "a"', "Unsupported argument"),
    "a_misspelt_block": ('dataset_id = "a"\n  acess {}', "Unsupported block type"),
    "a_missing_argument": ('location = "x"', "Missing required argument"),
    "a_missing_argument_in_a_block": ('dataset_id = "a"\n  default_encryption_configuration {}',
                                      "Missing required argument"),
    "a_wrong_type": ('dataset_id = ["a"]', "Incorrect attribute value type"),
    "a_block_too_many": ('dataset_id = "a"' + '\n  default_encryption_configuration {\n    kms_key_name = "k"\n  }' * 2,
                         "Too many default_encryption_configuration blocks"),
    "an_unknown_reference": ("dataset_id = google_bigquery_dataset.nowhere.dataset_id",
                             "Reference to undeclared resource"),
    "a_reference_to_nothing": ("dataset_id = google_bigquery_dataset.right.dataset_name", "Unsupported attribute"),
    "a_value_that_the_cloud_gives": ('dataset_id = "a"\n  etag = "mine"', "Value for unconfigurable attribute"),
}  # fmt: skip

# Between 5.100 and the release that the stand-in was generated from, AWS' provider changed these of the types used.
_CHANGED = {
    "aws_eks_cluster.compute_config.enabled": "computed since",
    "aws_eks_cluster.kubernetes_network_config.elastic_load_balancing.enabled": "computed since",
    "aws_eks_cluster.storage_config.block_storage.enabled": "computed since",
    "aws_nat_gateway.secondary_allocation_ids": "computed since",
    "aws_nat_gateway.subnet_id": "optional since",
    "aws_s3_bucket.region": "optional since",
    "aws_s3_bucket_lifecycle_configuration.rule.noncurrent_version_expiration.newer_noncurrent_versions": "as above",
    "aws_s3_bucket_lifecycle_configuration.rule.noncurrent_version_transition.newer_noncurrent_versions": "as above",
}


def _told(folder: Path, text: str, *commands: tuple[str, ...]) -> list[str]:
    (folder / "versions.tf").write_text(_HEAD)
    (folder / "main.tf").write_text(text)
    prepared = [("init", "-input=false", "-no-color", *providers.arguments(folder)), *commands]
    return terraform.run([(folder, command) for command in prepared], terraform.without_configuration(folder))[1:]


def test_what_is_right_is_planned_with_what_only_the_cloud_knows_as_unknown(tmp_path: Path) -> None:
    _, plan = _told(tmp_path, _GOOD, ("plan", "-no-color", "-out=plan"), ("show", "-json", "plan"))
    changes = {change["type"]: change["change"] for change in json.loads(plan)["resource_changes"]}
    table = changes["google_bigquery_table"]
    assert table["after"]["dataset_id"] == "analytics"
    assert table["after_unknown"]["self_link"] is True
    assert "description" not in table["after_unknown"]
    assert changes["google_bigquery_dataset"]["after_unknown"]["etag"] is True


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What Terraform says of each mistake, in one run over all of them."""
    resource = 'resource "google_bigquery_dataset" "{}" {{\n  {}\n}}\n'
    text = resource.format("right", 'dataset_id = "a"')
    text += "".join(resource.format(name, body) for name, (body, _) in _MISTAKES.items())
    text += 'resource "google_bigquery_tabel" "a_misspelt_type" {}\n'
    with pytest.raises(TerraformFailed) as refused:
        _told(tmp_path_factory.mktemp("mistakes"), text, ("validate", "-json"))
    said = json.loads(refused.value.output)["diagnostics"]
    return {_resource(text, one["range"]["start"]["line"]): one["summary"] for one in said}


def _resource(text: str, line: int) -> str:
    """Return the name of the resource that a line belongs to."""
    above = text.splitlines()[:line]
    names: list[str] = re.findall(r'^resource "\w+" "(\w+)"', "\n".join(above), re.MULTILINE)
    return names[-1]


def test_each_mistake_is_refused_and_what_is_right_is_not(refusals: dict[str, str]) -> None:
    expected = {name: summary for name, (_, summary) in _MISTAKES.items()}
    assert refusals == expected | {"a_misspelt_type": "Invalid resource type"}


def test_nothing_is_applied(tmp_path: Path) -> None:
    with pytest.raises(TerraformFailed, match="schema stand-in, not the provider"):
        _told(tmp_path, _GOOD, ("apply", "-auto-approve", "-no-color"))


def test_common_labels_reach_every_resource(tmp_path: Path) -> None:
    text = 'provider "google" {\n  default_labels = { owner = "platform" }\n}\n' + _GOOD
    labelled = text.replace(
        '  location   = "asia-south1"', '  location   = "asia-south1"\n  labels     = { tier = "a" }'
    )
    _, plan = _told(tmp_path, labelled, ("plan", "-no-color", "-out=plan"), ("show", "-json", "plan"))
    (dataset,) = (c for c in json.loads(plan)["resource_changes"] if c["type"] == "google_bigquery_dataset")
    assert dataset["change"]["after"]["terraform_labels"] == {"owner": "platform", "tier": "a"}


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """The schemas of AWS' provider, as the stand-in and as the real one tell them."""
    try:
        real = plugins()
    except NoProvider as missing:
        pytest.skip(str(missing))
    told = []
    for folder in (mirror("aws"), real):
        there = tmp_path_factory.mktemp("described")
        (there / "versions.tf").write_text((ROOM / "modules" / "aws" / "key" / "versions.tf").read_text())
        commands = (("init", "-no-color", f"-plugin-dir={folder}"), ("providers", "schema", "-json"))
        said = terraform.run([(there, command) for command in commands], terraform.without_configuration(there))[1]
        told.append(json.loads(said)["provider_schemas"]["registry.terraform.io/hashicorp/aws"])
    return told[0], told[1]


def test_the_stand_in_describes_aws_as_the_real_provider_does(described: tuple[dict[str, Any], dict[str, Any]]) -> None:
    ours, real = described
    for mode in ("resource_schemas", "data_source_schemas"):
        differing = {
            path
            for kind, said in ours[mode].items()
            for path in _differing(kind, said["block"], real[mode][kind]["block"])
        }
        assert differing == (set(_CHANGED) if mode == "resource_schemas" else set())
    assert len(ours["resource_schemas"]) > 50  # a comparison of nothing would pass


def _differing(path: str, ours: Mapping[str, Any], real: Mapping[str, Any]) -> Iterator[str]:
    """Yield what both releases have and describe differently; what only one has came or went with a release."""
    for name, said in _both(ours, real, "attributes"):
        if any(said[0].get(what) != said[1].get(what) for what in ("type", "required", "optional", "computed")):
            yield f"{path}.{name}"
    for name, (one, other) in _both(ours, real, "block_types"):
        single = [block.get("max_items") == 1 for block in (one, other)]
        if single[0] != single[1] or any(one.get(what) != other.get(what) for what in ("nesting_mode", "min_items")):
            yield f"{path}.{name}"
        yield from _differing(f"{path}.{name}", one["block"], other["block"])


def _both(ours: Mapping[str, Any], real: Mapping[str, Any], what: str) -> Iterator[tuple[str, tuple[Any, Any]]]:
    shared = ours.get(what, {}).keys() & real.get(what, {}).keys()
    return ((name, (ours[what][name], real[what][name])) for name in sorted(shared))


def test_the_stack_on_aws_meets_its_policies_through_the_stand_in_as_well(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # It is of a newer release than ours at hand, so this tells that "5.100 or newer" holds for both.
    monkeypatch.setenv("SOUK_TF_PLUGIN_DIR", str(mirror("aws")))
    stack = Workspace(tmp_path, "aws")
    stack.lay()
    stack.init()
    verdicts = policies.judge(evidence.of_plan(stack.plan("prod")))
    assert set(verdicts.values()) == {Verdict.PASSED}


def test_text_without_a_source_map_has_no_source() -> None:
    assert schemas.typescript("exports.nothing = 1;") == ""
