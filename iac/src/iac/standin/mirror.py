"""A plugin folder for Terraform with the stand-ins in it, made once and kept in the cache."""

import hashlib
import json
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

from iac.environments import tool
from iac.errors import IacError
from iac.places import CACHE, ROOM
from iac.standin import schemas

PROVIDERS = ("aws", "google")

_HERE = Path(__file__).parent
_LOCK = ROOM / "schemas.lock"
_USED = re.compile(r'^(resource|data) "((?:aws|google)_\w+)"', re.MULTILINE)
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}


def mirror(provider: str) -> Path:
    """Return a folder for `terraform init -plugin-dir=` with the stand-in of one provider."""
    # In the mutations of the policies' cases as well, which are written in TOML.
    files = [*ROOM.rglob("*.tf"), *(ROOM / "policies").rglob("*.toml")]
    used = sorted({found for file in files for found in _USED.findall(file.read_text())})
    catalogue, python = _catalogue(), tool("standin") / "python"
    code = (_HERE / "provider.py").read_bytes()
    key = _key(str(catalogue).encode(), str(python).encode(), code, json.dumps(used).encode())
    made = _once(CACHE / "standin" / f"plugins-{key}", lambda folder: _write(folder, catalogue, python, used))
    return made / provider


def _write(folder: Path, catalogue: Path, python: Path, used: list[tuple[str, str]]) -> None:
    machine = _MACHINES.get(platform.machine(), platform.machine())
    for provider in PROVIDERS:
        with zipfile.ZipFile(catalogue / f"{provider}.zip") as known:
            version = known.read("version").decode()
            said = _cut(provider, known, used)
        home = folder / provider / "registry.terraform.io" / "hashicorp" / provider / version / f"linux_{machine}"
        home.mkdir(parents=True)
        (home / "schemas.json").write_text(json.dumps(said))
        (home / "provider.py").write_bytes((_HERE / "provider.py").read_bytes())
        program = home / f"terraform-provider-{provider}_v{version}"
        # Not by `#!`, whose line is too short for a long path.
        program.write_text(
            f'#!/bin/sh\nhere=$(dirname "$0")\nexec "{python}" "$here/provider.py" "$here/schemas.json"\n'
        )
        program.chmod(0o755)


def _cut(provider: str, known: zipfile.ZipFile, used: list[tuple[str, str]]) -> dict[str, Any]:
    """Return the schemas of the types used; one that the provider does not have is left for Terraform to refuse."""
    said: dict[str, Any] = {
        "name": provider,
        "provider": json.loads(known.read("provider")),
        "resource": {},
        "data": {},
    }
    names = set(known.namelist())
    for mode, kind in used:
        if f"{mode}/{kind}" in names:
            said[mode][kind] = json.loads(known.read(f"{mode}/{kind}"))
    return said


def _catalogue() -> Path:
    """Return the folder with a zip for each provider, of all its schemas."""
    key = _key(_LOCK.read_bytes(), (_HERE / "schemas.py").read_bytes())
    return _once(CACHE / "standin" / f"schemas-{key}", _fetch)


def _fetch(folder: Path) -> None:
    folder.mkdir()
    with tempfile.TemporaryDirectory() as wheels:
        command = (sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
                   "--only-binary=:all:", "--require-hashes", f"--requirement={_LOCK}", f"--dest={wheels}")  # fmt: skip
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 -- our own pip
        if done.returncode:
            raise IacError(f"The providers' schemas cannot be fetched:\n{done.stderr}")
        for provider in PROVIDERS:
            (wheel,) = Path(wheels).glob(f"cdktf_cdktf_provider_{provider}-*.whl")
            with zipfile.ZipFile(folder / f"{provider}.zip", "w", zipfile.ZIP_DEFLATED) as known:
                for name, text in _read(wheel):
                    known.writestr(name, text)


def _read(wheel: Path) -> Iterator[tuple[str, str]]:
    """Yield the schema of each type, and of the provider itself, in a wheel."""
    for name, javascript in _modules(wheel):
        source = schemas.typescript(javascript)
        if name == "provider":
            yield "version", schemas.release(source)
            yield "provider", json.dumps(schemas.provider_schema(source))
        else:
            what, schema = schemas.schema(source)
            yield what, json.dumps(schema)


def _modules(wheel: Path) -> Iterator[tuple[str, str]]:
    """Yield the name and the text of each generated module in the archive that a wheel carries."""
    with zipfile.ZipFile(wheel) as package:
        (name,) = (entry for entry in package.namelist() if entry.endswith(".jsii.tgz"))
        with package.open(name) as archive, tarfile.open(fileobj=archive, mode="r|gz") as entries:
            for entry in entries:
                found = re.fullmatch(r"package/lib/([\w-]+)/index\.js", entry.name)
                text: IO[bytes] | None = entries.extractfile(entry) if found else None
                if found and text:
                    yield found.group(1), text.read().decode()


def _once(folder: Path, make: Callable[[Path], None]) -> Path:
    """Make a folder under another name and put it in place whole, unless it is there."""
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".new-", dir=folder.parent) as draft:
            made = Path(draft) / "made"
            make(made)
            if not folder.exists():
                made.rename(folder)
    return folder


def _key(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
