"""The plans of all environments, made without a cloud."""

from typing import Any

import pytest

from iac.places import ENVIRONMENTS
from iac.workspace import Workspace


@pytest.fixture(scope="session")
def plans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    stack = Workspace(tmp_path_factory.mktemp("stack"), "aws")
    stack.lay()
    stack.init()
    return dict(zip(ENVIRONMENTS, stack.plans(*ENVIRONMENTS), strict=True))


@pytest.fixture(scope="session")
def gcp_plans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    stack = Workspace(tmp_path_factory.mktemp("gcp"), "gcp")
    stack.lay()
    stack.init()
    return dict(zip(ENVIRONMENTS, stack.plans(*ENVIRONMENTS), strict=True))
