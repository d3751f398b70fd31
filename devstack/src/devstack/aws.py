"""DynamoDB, S3, SQS, SES and Lambda from ministack, in an environment of its own (it pins botocore)."""

from pathlib import Path

from devstack import environments
from devstack.mails import keep
from devstack.part import Part, http
from devstack.settings import HOST, StackSettings

ENVIRONMENT = "ministack"
# Its tables are millions of live objects: collecting garbage among them at the usual pace halts it for half a second.
_UVICORN = "import gc, uvicorn; gc.set_threshold(100_000, 50, 1_000); uvicorn.main()"


def aws(settings: StackSettings) -> Part:
    """Describe the emulator. It saves its state when it is stopped, not when it is killed."""
    data = settings.home.resolve() / "data" / "aws"
    python = environments.environment(ENVIRONMENT, settings.cache) / "bin" / "python"
    server = (
        "-c",
        _UVICORN,
        "ministack.app:app",
        "--loop",
        "uvloop",
        "--http",
        "httptools",
        "--no-access-log",
        "--no-proxy-headers",
    )
    return Part(
        name="aws",
        command=(str(python), *server, "--host", HOST, "--port", str(settings.aws_port)),
        ready=http(f"{settings.aws_endpoint_url}/_ministack/health"),
        url=settings.aws_endpoint_url,
        env=_environment(settings, data),
        ports={"SOUK_AWS_PORT": settings.aws_port},
        prepare=lambda: _prepare(settings, data),
        farewell=lambda: keep(settings),
        grace_seconds=30,
    )


def _environment(settings: StackSettings, data: Path) -> dict[str, str]:
    return {
        "BIND_HOST": HOST,
        "GATEWAY_PORT": str(settings.aws_port),
        "MINISTACK_HOST": HOST,
        "MINISTACK_REGION": settings.aws_region,
        "LOG_LEVEL": "WARNING",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(data / "state"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(data / "s3"),
        "TMPDIR": str(data / "tmp"),
        # Both would listen on ports nobody asked for.
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        **credentials(settings),
    }


def credentials(settings: StackSettings) -> dict[str, str]:
    """Return visibly false AWS credentials for the emulator; for real endpoints, the caller's own are inherited."""
    if settings.external_aws:
        return {}
    return {
        "AWS_ACCESS_KEY_ID": "local-not-a-key",
        "AWS_SECRET_ACCESS_KEY": "local-not-a-secret",
        "AWS_DEFAULT_REGION": settings.aws_region,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


async def _prepare(settings: StackSettings, data: Path) -> None:
    for name in ("state", "s3", "tmp"):
        (data / name).mkdir(parents=True, exist_ok=True)
    await environments.ensure(ENVIRONMENT, settings.cache)
