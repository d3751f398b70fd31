from pathlib import Path

import pytest

from iac import tables


@pytest.mark.parametrize("module", tables.modules(), ids=lambda module: module.name)
def test_a_modules_readme_is_up_to_date(module: Path) -> None:
    assert (module / "README.md").read_text() == tables.readme(module)
