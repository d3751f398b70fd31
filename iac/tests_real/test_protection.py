"""Data is destroyed by those who say so, and by nobody else."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from iac.errors import TerraformFailed
from iac.workspace import LOCAL_ACCOUNT, Workspace

pytestmark = pytest.mark.timeout(400)

_REGION = "ap-south-1"
_STORES = ('module.table["carts"]', 'module.bucket["order-documents"]')


@pytest.fixture
def stack(cloud: str, tmp_path: Path) -> Iterator[Workspace]:
    made = Workspace(tmp_path, "aws", cloud, {"account_id": LOCAL_ACCOUNT})
    made.lay()
    made.init()
    made.apply_only("dev", _STORES)
    yield made
    assert made.addresses() == []


def test_destroy_leaves_tables_and_what_is_in_buckets_until_the_switch_is_set(stack: Workspace, cloud: str) -> None:
    documents = boto3.client("s3", endpoint_url=cloud, region_name=_REGION)
    documents.put_object(Bucket="souk-dev-order-documents", Key="invoice.json", Body=b"{}")
    with pytest.raises(TerraformFailed) as refused:
        stack.destroy("dev")
    assert "Table is protected against deletion" in refused.value.output
    assert "BucketNotEmpty" in refused.value.output
    assert documents.get_object(Bucket="souk-dev-order-documents", Key="invoice.json")["Body"].read() == b"{}"

    knowing = Workspace(stack.folder, "aws", cloud, {**stack.variables, "allow_data_loss": "true"})
    knowing.apply_only("dev", _STORES)
    knowing.destroy("dev")
