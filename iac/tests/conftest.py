"""The plans of all environments, made without a cloud."""

from pathlib import Path
from typing import Any

import pytest

from iac.errors import NoProvider
from iac.places import plugins
from iac.workspace import Workspace

ENVIRONMENTS = ("dev", "staging", "prod")


@pytest.fixture(scope="session")
def provider() -> Path:
    try:
        return plugins()
    except NoProvider as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def plans(provider: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    assert provider.is_dir()
    stack = Workspace(tmp_path_factory.mktemp("stack"), "aws")
    stack.lay()
    stack.init()
    return dict(zip(ENVIRONMENTS, stack.plans(*ENVIRONMENTS), strict=True))
