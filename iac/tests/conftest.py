"""A stack that can be planned without a cloud."""

from pathlib import Path

import pytest

from iac.errors import NoProvider
from iac.places import plugins
from iac.workspace import Workspace


@pytest.fixture(scope="session")
def provider() -> Path:
    try:
        return plugins()
    except NoProvider as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="session")
def stack(provider: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Laid out and initialised with the provider; nobody changes it."""
    assert provider.is_dir()
    made = Workspace(tmp_path_factory.mktemp("stack"), "aws")
    made.lay()
    made.init()
    return made
