"""What a service's OpenAPI document says is what it does, whatever it is sent: never a 500, never a surprise.

Behind the other end-to-end tests, by its name: among what is sent are changes of products that those sell.
"""

import asyncio
import sys
from pathlib import Path

import pytest

from devstack.stack import Stack

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(400)]

# Not among them: that all that fits the schema is taken. Rules stand above it: no product stands in an order twice.
KEPT = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
)


@pytest.mark.parametrize("service", ["user", "product", "order", "payment"])
async def test_a_service_keeps_its_document_whatever_it_is_sent(
    service: str, stack: Stack, admin: str, tmp_path: Path
) -> None:
    port = getattr(stack.settings, f"{service}_port")
    sending = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"http://127.0.0.1:{port}/openapi.json",
        f"--header=Authorization: Bearer {admin}",
        f"--checks={','.join(KEPT)}",
        "--phases=coverage,fuzzing",
        "--max-examples=20",
        "--generation-deterministic",
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    told, _ = await asyncio.wait_for(sending.communicate(), 300)
    assert sending.returncode == 0, told.decode()
