"""A local cloud of one's own: what another test leaves in a shared one would be taken for ours."""

from collections.abc import Iterator

import pytest

from devstack.parts import aws_emulator


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with aws_emulator(tmp_path_factory.mktemp("cloud")) as endpoint:
        yield endpoint
