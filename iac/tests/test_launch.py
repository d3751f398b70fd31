"""The launcher of the job takes its role on AWS by the token of its machine, and hands it to whoever asks boto3."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import parse_qs, urlsplit

import pytest

from iac.places import ROOM

_LAUNCHER = ROOM / "modules" / "gcp" / "job" / "main.py"
_JOB = """
import boto3, json, os
session = boto3.Session(region_name="ap-south-1")
print(json.dumps({"access_key": session.get_credentials().access_key, "method": session.get_credentials().method}))
"""


class _Metadata(BaseHTTPRequestHandler):
    """Gives out tokens as Google's metadata server does: to whom says the magic word."""

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        known = asked.path == "/computeMetadata/v1/instance/service-accounts/default/identity"
        allowed = self.headers.get("Metadata-Flavor") == "Google" and parse_qs(asked.query) == {
            "audience": ["souk-dev"]
        }
        self.send_response(200 if known and allowed else 403)
        self.end_headers()
        self.wfile.write(b"a.signed.token")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- http.server's name
        """Say nothing."""


@pytest.fixture
def machine(aws_endpoint: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The environment of the driver on a machine of Google's, with the emulator for AWS."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Metadata)
    thread = Thread(target=server.serve_forever)
    thread.start()
    job = tmp_path / "job_analytics"
    job.mkdir()
    (job / "__init__.py").touch()
    (job / "__main__.py").write_text(_JOB)
    plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    try:
        yield plain | {
            "AWS_ENDPOINT_URL": aws_endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "GCE_METADATA_HOST": f"127.0.0.1:{server.server_port}",
            "LAUNCH_AWS_AUDIENCE": "souk-dev",
            "LAUNCH_AWS_ROLE_ARN": "arn:aws:iam::000000000000:role/souk-dev-analytics",
            "PYTHONPATH": str(tmp_path),
            "SOUK_AWS_REGION": "ap-south-1",
        }
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _launched(machine: dict[str, str], folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, str(_LAUNCHER), *arguments)
    return subprocess.run(command, env=machine, cwd=folder, capture_output=True, text=True, check=False)


def test_the_token_of_the_machine_becomes_credentials_that_expire(machine: dict[str, str], tmp_path: Path) -> None:
    got = json.loads(_launched(machine, tmp_path, "credentials").stdout)
    assert got["Version"] == 1
    assert all(got[name] for name in ("AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"))


def test_the_job_finds_the_role_through_boto3(machine: dict[str, str], tmp_path: Path) -> None:
    said = json.loads(_launched(machine, tmp_path).stdout)
    assert said["method"] == "custom-process"
    assert said["access_key"]


def test_a_machine_without_the_account_gets_nothing(machine: dict[str, str], tmp_path: Path) -> None:
    refused = _launched(machine | {"LAUNCH_AWS_AUDIENCE": "somebody-else"}, tmp_path, "credentials")
    assert refused.returncode == 1
    assert "403" in refused.stderr
    assert refused.stdout == ""
