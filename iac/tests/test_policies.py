"""Each policy passes on its fixture, fails on its changed fixture, and fails when the modules lose what it asks for."""

import json
import tomllib
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from iac import evidence, policies
from iac.losses import Losses
from iac.places import POLICIES
from iac.policies import Verdict
from iac.workspace import Workspace, plan_all

CASES: dict[str, dict[str, Any]] = tomllib.loads((POLICIES / "fixtures" / "cases.toml").read_text())
PASSING: dict[str, Any] = json.loads((POLICIES / "fixtures" / "passing.json").read_text())
_ROUNDS = 3


def _merged(value: Any, change: Any) -> Any:
    if isinstance(value, Mapping) and isinstance(change, Mapping):
        return {key: _merged(value.get(key), change.get(key, value.get(key))) for key in {**value, **change}}
    return change


def _with_a_broken_one_for_each() -> tuple[dict[str, Any], dict[str, str]]:
    """Return the passing fixture with, for each policy, a resource that breaks it; and the address of each."""
    document = deepcopy(PASSING)
    sound = {resource["type"]: resource for resource in evidence.resources(PASSING)}
    broken = {name: f"{case['type']}.broken[{at}]" for at, (name, case) in enumerate(CASES.items())}
    for name, address in broken.items():
        resource = sound[CASES[name]["type"]]
        values = _merged(resource["values"], CASES[name]["fail"])
        evidence.resources(document).append({**resource, "address": address, "values": values})
    return document, broken


def test_every_policy_has_a_case_and_every_case_a_policy() -> None:
    assert sorted(CASES) == sorted(policies.scenarios())


def test_every_policy_passes_on_its_fixture() -> None:
    assert set(policies.judge(PASSING).items()) == {(name, Verdict.PASSED) for name in CASES}


def test_every_policy_fails_on_the_resource_that_breaks_it_and_on_no_other() -> None:
    document, broken = _with_a_broken_one_for_each()
    complaints = policies.failures(document)
    assert {name: policies.blamed(said, document) for name, said in complaints.items()} == {
        name: {address} for name, address in broken.items()
    }


def test_the_plan_of_each_environment_meets_every_policy(plans: dict[str, dict[str, Any]]) -> None:
    for environment, plan in plans.items():
        verdicts = policies.judge(evidence.of_plan(plan))
        skipped = {name for name, verdict in verdicts.items() if verdict is Verdict.SKIPPED}
        assert {name for name, verdict in verdicts.items() if verdict is Verdict.FAILED} == set()
        assert skipped == (set() if environment == "prod" else {name for name in CASES if " of prod " in name})


@pytest.fixture(scope="module")
def mutants(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[list[str], dict[str, Any]]]:
    """Plans of modules that have lost protections, with the policies that must see it; all by one Terraform."""
    there = tmp_path_factory.mktemp("mutants")
    rounds = [sorted(CASES)[turn::_ROUNDS] for turn in range(_ROUNDS)]
    stacks = [Workspace(there / str(turn), "aws") for turn in range(_ROUNDS)]
    for stack, broken in zip(stacks, rounds, strict=True):
        stack.lay()
        for name in broken:
            _mutate(stack.folder / CASES[name]["file"], CASES[name])
    return list(zip(rounds, plan_all(stacks, "prod"), strict=True))


def test_modules_that_lose_a_protection_fail_exactly_its_policy(
    mutants: list[tuple[list[str], dict[str, Any]]],
) -> None:
    for broken, plan in mutants:
        assert sorted(policies.failures(evidence.of_plan(plan))) == broken


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
