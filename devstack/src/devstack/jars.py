"""Java libraries, fetched once into the cache by Maven or by Apache Ivy and checked against a committed list.

A list has a line per file as `sha256sum` writes it, with the file's path in a Maven repository:
`<sha256>  org/apache/kafka/kafka_2.13/4.1.1/kafka_2.13-4.1.1.jar`. It is closed: nothing is resolved, only fetched.
"""

import hashlib
import importlib.util
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from devstack import tool
from devstack.errors import FetchFailed
from devstack.java import java
from devstack.state import locked

_COPY_DEPENDENCIES = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
_IVY_SETTINGS = """<ivysettings>
  <settings defaultResolver="maven"/>
  <resolvers>
    <ibiblio name="maven" m2compatible="true" usepoms="false" useMavenMetadata="false" checksums=""/>
  </resolvers>
</ivysettings>
"""


@dataclass(frozen=True)
class Jar:
    """One file of a list."""

    sha256: str
    group: str
    artifact: str
    version: str

    @property
    def file(self) -> str:
        """Its name in the cache."""
        return f"{self.artifact}-{self.version}.jar"


def read_list(path: Path) -> list[Jar]:
    """Return the jars of a list."""
    jars = []
    for line in path.read_text().splitlines():
        digest, location = line.split()
        *group, artifact, version, _ = location.split("/")
        jars.append(Jar(digest, ".".join(group), artifact, version))
    return jars


def folder(name: str, listed: Path, cache: Path) -> Path:
    """Return where the jars of a list are, or will be."""
    return cache / "jars" / f"{name}-{hashlib.sha256(listed.read_bytes()).hexdigest()[:16]}"


async def fetch(name: str, listed: Path, cache: Path) -> Path:
    """Return the folder that holds exactly the jars of a list, fetching them if they are not there yet."""
    target = folder(name, listed, cache)
    if not target.exists():
        await _fetch_once(read_list(listed), target)
    return target


async def _fetch_once(jars: list[Jar], target: Path) -> None:
    async with locked(target.with_suffix(".lock")):
        if target.exists():
            return
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent) as draft:
            fetched = Path(draft, "jars")
            fetched.mkdir()
            await _download(jars, Path(draft), fetched)
            _check(jars, fetched)
            fetched.rename(target)


async def _download(jars: list[Jar], work: Path, target: Path) -> None:
    maven = shutil.which("mvn")
    if maven:
        try:
            await _with_maven(maven, jars, work, target)
        except tool.ToolFailed:
            shutil.rmtree(target)
            target.mkdir()
        else:
            return
    try:
        await _with_ivy(jars, work, target)
    except tool.ToolFailed as failed:
        raise FetchFailed(f"The Java libraries cannot be fetched: {failed}") from failed


async def _with_maven(maven: str, jars: list[Jar], work: Path, target: Path) -> None:
    listed = "".join(
        f"<dependency><groupId>{jar.group}</groupId><artifactId>{jar.artifact}</artifactId><version>{jar.version}</version>"
        "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>"
        for jar in jars
    )
    (work / "pom.xml").write_text(
        "<project><modelVersion>4.0.0</modelVersion><groupId>souk</groupId><artifactId>jars</artifactId>"
        f"<version>1</version><dependencies>{listed}</dependencies></project>"
    )
    await tool.run((maven, "-q", "-B", _COPY_DEPENDENCIES, f"-DoutputDirectory={target}"), cwd=work)


async def _with_ivy(jars: list[Jar], work: Path, target: Path) -> None:
    listed = "".join(
        f"<dependency org={quoteattr(jar.group)} name={quoteattr(jar.artifact)} rev={quoteattr(jar.version)}"
        ' transitive="false"/>'
        for jar in jars
    )
    settings, module = work / "ivysettings.xml", work / "ivy.xml"
    settings.write_text(_IVY_SETTINGS)
    module.write_text(
        '<ivy-module version="2.0"><info organisation="souk" module="jars"/>'
        f"<dependencies>{listed}</dependencies></ivy-module>"
    )
    where = ("-settings", str(settings), "-ivy", str(module), "-cache", str(work / "ivy-cache"))
    retrieve = ("-retrieve", str(target / "[artifact]-[revision].[ext]"))
    await tool.run((java(), "-jar", str(_ivy()), *where, *retrieve), cwd=work)


def _ivy() -> Path:
    spec = importlib.util.find_spec("pyspark")
    if spec is None or spec.origin is None:
        raise FetchFailed(
            "Apache Ivy, which fetches the Java libraries, comes with pyspark, and that is not installed."
        )
    return next(Path(spec.origin).parent.glob("jars/ivy-*.jar"))


def _check(jars: list[Jar], fetched: Path) -> None:
    expected = {jar.file: jar.sha256 for jar in jars}
    found = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in fetched.iterdir()}
    wrong = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    if wrong:
        raise FetchFailed(f"These fetched Java libraries are not what the committed list says: {', '.join(wrong)}.")
