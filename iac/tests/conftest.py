"""The plans of all environments, made without a cloud."""

from typing import Any

import pytest

from iac.places import ENVIRONMENTS
from iac.workspace import Workspace


@pytest.fixture(scope="session")
def aws_side() -> str:
    """What the stack on AWS would give to the one on Google Cloud."""
    return (
        '{ vpc_id = "vpc-0123456789abcdef0", vpc_cidr = "10.40.0.0/16", route_table_id = "rtb-0123456789abcdef0", '
        'kafka_bootstrap = "b-1.souk.kafka.ap-south-1.amazonaws.com:9098" }'
    )


@pytest.fixture(scope="session")
def plans(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    stack = Workspace(tmp_path_factory.mktemp("stack"), "aws")
    stack.lay()
    stack.init()
    return dict(zip(ENVIRONMENTS, stack.plans(*ENVIRONMENTS), strict=True))


@pytest.fixture(scope="session")
def gcp_plans(aws_side: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    stack = Workspace(tmp_path_factory.mktemp("gcp"), "gcp", variables={"aws_side": aws_side})
    stack.lay()
    stack.init()
    return dict(zip(ENVIRONMENTS, stack.plans(*ENVIRONMENTS), strict=True))
