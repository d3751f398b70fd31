"""The names in `gitops/` are those that Terraform gives, and mean something to the services."""

import json
from typing import Any

import pytest
import yaml

from corelib.config import PREFIX, ServiceSettings
from iac import names
from iac.errors import IacError
from iac.places import ENVIRONMENTS, GITOPS

_BOOTSTRAP = "SOUK_KAFKA_BOOTSTRAP"


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_what_services_are_told_is_what_terraform_makes(environment: str, plans: dict[str, dict[str, Any]]) -> None:
    committed = names.settings_file(environment).read_text()
    outputs = names.of_plan(plans[environment])
    assert outputs["settings"].items() <= names.parsed(committed).items()
    assert names.settings(outputs, committed) == committed


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_name_is_a_setting_of_the_services(environment: str, plans: dict[str, dict[str, Any]]) -> None:
    told = {*names.parsed(names.settings_file(environment).read_text()), _BOOTSTRAP}
    assert plans[environment]["output_changes"]["kafka"]["after_unknown"] == {_BOOTSTRAP: True}
    assert told <= {f"{PREFIX}{name}".upper() for name in ServiceSettings.model_fields}


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_services_run_under_the_accounts_that_have_a_role(environment: str, plans: dict[str, dict[str, Any]]) -> None:
    committed = names.accounts_file().read_text()
    assert committed == names.accounts(names.of_plan(plans[environment]))
    roles = plans[environment]["output_changes"]["workloads"]["after_unknown"]
    accounts = [document["metadata"]["name"] for document in yaml.safe_load_all(committed)]
    assert accounts
    assert set(accounts) <= roles.keys()


@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_kustomize_is_given_files_that_are_there(environment: str) -> None:
    folder = names.settings_file(environment).parent
    kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
    (cloud,) = kustomization["configMapGenerator"]
    assert [folder / file for file in cloud["envs"]] == [names.settings_file(environment)]
    base = (folder / kustomization["resources"][0]).resolve()
    assert base == (GITOPS / "base").resolve()
    listed = yaml.safe_load((base / "kustomization.yaml").read_text())["resources"]
    assert sorted(listed) == sorted(file.name for file in base.glob("*.yaml") if file.name != "kustomization.yaml")


def test_what_only_an_apply_tells_is_written_then_and_kept() -> None:
    planned = {"settings": {"SOUK_AWS_PREFIX": "souk-dev-"}, "kafka": {"SOUK_KAFKA_PREFIX": ""}}
    applied = {**planned, "kafka": {"SOUK_KAFKA_PREFIX": "", _BOOTSTRAP: "b-1.example:9098"}}
    once = names.settings(applied, names.settings(planned))
    assert names.parsed(once)[_BOOTSTRAP] == "b-1.example:9098"
    assert names.settings(planned, once) == once


def test_outputs_are_read_as_terraform_tells_them() -> None:
    told = {"settings": {"A": "1"}, "kafka": {}, "workloads": {}}
    assert names.applied(json.dumps({name: {"value": value} for name, value in told.items()})) == told


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not the outputs"),
        ("[]", "not the outputs"),
        ('{"settings": 1}', "not the outputs"),
        ("{}", "settings, kafka, workloads not among the outputs"),
    ],
)
def test_what_is_no_output_of_the_stack_is_refused(text: str, said: str) -> None:
    with pytest.raises(IacError, match=said):
        names.applied(text)


def test_an_environment_that_is_none_is_refused() -> None:
    with pytest.raises(IacError, match="one of dev, staging, prod"):
        names.write("produktion", {})
    assert not (GITOPS / "environments" / "produktion").exists()
