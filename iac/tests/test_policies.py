"""Each policy passes on its fixture, fails on its changed fixture, and fails when the modules lose what it asks for."""

import json
import tomllib
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from iac import evidence, policies
from iac.losses import Losses
from iac.places import POLICIES
from iac.policies import Verdict
from iac.workspace import Workspace, plan_all


@dataclass(frozen=True)
class Suite:
    """The policies of a stack, with their cases and fixture."""

    name: str

    @cached_property
    def cases(self) -> dict[str, dict[str, Any]]:
        """What breaks each policy."""
        return tomllib.loads((POLICIES / self.name / "fixtures" / "cases.toml").read_text())

    @cached_property
    def passing(self) -> dict[str, Any]:
        """Evidence that meets each policy."""
        passing: dict[str, Any] = json.loads((POLICIES / self.name / "fixtures" / "passing.json").read_text())
        return passing


_ROUNDS = 3


@pytest.fixture(scope="module", params=["aws", "gcp"])
def suite(request: pytest.FixtureRequest) -> Suite:
    return Suite(request.param)


@pytest.fixture(scope="module")
def suite_plans(suite: Suite, request: pytest.FixtureRequest) -> dict[str, dict[str, Any]]:
    """The plans that a suite judges."""
    plans: dict[str, dict[str, Any]] = request.getfixturevalue("plans" if suite.name == "aws" else "gcp_plans")
    return plans


def _merged(value: Any, change: Any) -> Any:
    if isinstance(value, Mapping) and isinstance(change, Mapping):
        return {key: _merged(value.get(key), change.get(key, value.get(key))) for key in {**value, **change}}
    return change


def _with_a_broken_one_for_each(suite: Suite) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the passing fixture with, for each policy, a resource that breaks it; and the address of each."""
    document = deepcopy(suite.passing)
    sound = {resource["type"]: resource for resource in evidence.resources(suite.passing)}
    broken = {name: f"{case['type']}.broken[{at}]" for at, (name, case) in enumerate(suite.cases.items())}
    for name, address in broken.items():
        resource = sound[suite.cases[name]["type"]]
        values = _merged(resource["values"], suite.cases[name]["fail"])
        evidence.resources(document).append({**resource, "address": address, "values": values})
    return document, broken


def test_every_policy_has_a_case_and_every_case_a_policy(suite: Suite) -> None:
    assert sorted(suite.cases) == sorted(policies.scenarios(suite.name))


def test_every_policy_passes_on_its_fixture(suite: Suite) -> None:
    assert set(policies.judge(suite.passing, suite.name).items()) == {(name, Verdict.PASSED) for name in suite.cases}


def test_every_policy_fails_on_the_resource_that_breaks_it_and_on_no_other(suite: Suite) -> None:
    document, broken = _with_a_broken_one_for_each(suite)
    complaints = policies.failures(document, suite.name)
    assert {name: policies.blamed(said, document) for name, said in complaints.items()} == {
        name: {address} for name, address in broken.items()
    }


def test_the_plan_of_each_environment_meets_every_policy(suite: Suite, suite_plans: dict[str, dict[str, Any]]) -> None:
    seen = evidence.together({environment: evidence.of_plan(plan) for environment, plan in suite_plans.items()})
    assert set(policies.report(seen, suite.name).items()) == {(name, (Verdict.PASSED, "")) for name in suite.cases}


@pytest.fixture(scope="module")
def mutants(suite: Suite, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[list[str], dict[str, Any]]]:
    """Plans of modules that have lost protections, with the policies that must see it."""
    there = tmp_path_factory.mktemp("mutants")
    rounds = [sorted(suite.cases)[turn::_ROUNDS] for turn in range(_ROUNDS)]
    stacks = [Workspace(there / str(turn), suite.name) for turn in range(_ROUNDS)]
    for stack, broken in zip(stacks, rounds, strict=True):
        stack.lay()
        for name in broken:
            _mutate(stack.folder / suite.cases[name]["file"], suite.cases[name])
    return list(zip(rounds, plan_all(stacks, "prod"), strict=True))


def test_modules_that_lose_a_protection_fail_exactly_its_policy(
    suite: Suite,
    mutants: list[tuple[list[str], dict[str, Any]]],
) -> None:
    seen = evidence.together({f"mutant {turn}": evidence.of_plan(plan) for turn, (_, plan) in enumerate(mutants)})
    blamed = {name: policies.blamed(said, seen) for name, said in policies.failures(seen, suite.name).items()}
    assert {name: {address.partition(":")[0] for address in addresses} for name, addresses in blamed.items()} == {
        name: {f"mutant {turn}"} for turn, (broken, _) in enumerate(mutants) for name in broken
    }


def test_whatever_protection_a_plan_loses_some_policy_sees_it(plans: dict[str, dict[str, Any]]) -> None:
    sound = evidence.planned(plans["prod"])
    lost = Losses.of(sound)
    blamed = set[str]()
    for complaint in policies.failures(lost.document).values():
        blamed |= policies.blamed(complaint, lost.document)
    assert len(lost.addresses) > len(sound)
    assert {loss for loss, addresses in lost.addresses.items() if not addresses & blamed} == set()


def _mutate(file: Path, case: Mapping[str, str]) -> None:
    text = file.read_text()
    assert text.count(case["find"]) == 1
    file.write_text(text.replace(case["find"], case["put"]))
