"""Starts the job in Spark's driver, and lends it its role on AWS.

No key exists: AWS takes the token that Google's metadata server gives for the account of the machine. Whoever asks AWS'
own libraries for credentials runs this file again (`credential_process`), so that they are renewed as they expire.
"""

import json
import os
import runpy
import shlex
import sys
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import boto3
from botocore import UNSIGNED
from botocore.config import Config

_ROLE, _AUDIENCE = "LAUNCH_AWS_ROLE_ARN", "LAUNCH_AWS_AUDIENCE"
_SECONDS = 10


def main() -> None:
    """Run the job, or print credentials."""
    if sys.argv[1:] == ["credentials"]:
        sys.stdout.write(json.dumps(credentials()))
        return
    if os.environ.get(_ROLE):
        os.environ["AWS_CONFIG_FILE"] = str(profile())
    runpy.run_module("job_analytics", run_name="__main__", alter_sys=True)


def profile() -> Path:
    """Write the AWS profile that asks this file; return its path."""
    file = Path("aws.config").resolve()
    ask = shlex.join((sys.executable, str(Path(__file__).resolve()), "credentials"))
    file.write_text(f"[default]\ncredential_process = {ask}\n")
    return file


def credentials() -> dict[str, object]:
    """Return credentials of the role, in the form that AWS' libraries read."""
    # Unsigned: the token is the proof, and to sign would ask for the very credentials that are wanted.
    sts = boto3.client("sts", region_name=os.environ["SOUK_AWS_REGION"], config=Config(signature_version=UNSIGNED))
    got = sts.assume_role_with_web_identity(
        RoleArn=os.environ[_ROLE], RoleSessionName="analytics", WebIdentityToken=token(os.environ[_AUDIENCE])
    )["Credentials"]
    names = ("AccessKeyId", "SecretAccessKey", "SessionToken")
    return {"Version": 1, **{name: got[name] for name in names}, "Expiration": got["Expiration"].isoformat()}


def token(audience: str) -> str:
    """Return the machine's identity token for an audience."""
    host = os.environ.get("GCE_METADATA_HOST", "metadata.google.internal")
    place = f"http://{host}/computeMetadata/v1/instance/service-accounts/default/identity"
    asked = Request(f"{place}?{urlencode({'audience': audience})}", headers={"Metadata-Flavor": "Google"})  # noqa: S310 -- the machine's own server, which speaks plain HTTP
    with urlopen(asked, timeout=_SECONDS) as answer:  # noqa: S310 -- as above
        return str(answer.read().decode())


if __name__ == "__main__":
    main()
