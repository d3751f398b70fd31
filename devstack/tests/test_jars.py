"""Fetched libraries are exactly the committed ones, or not used at all."""

from importlib.metadata import version
from pathlib import Path

import pytest

from devstack import jars
from devstack.errors import FetchFailed
from devstack.services import SPARK_JARS

LIST = Path(jars.__file__).with_name("kafka-jars.sha256")


def test_the_list_names_kafka_and_no_file_twice() -> None:
    listed = jars.read_list(LIST)
    assert "kafka_2.13-4.1.1.jar" in {jar.file for jar in listed}
    assert len({jar.file for jar in listed}) == len(listed)


def test_the_connector_is_of_sparks_own_version() -> None:
    listed = {jar.artifact: jar.version for jar in jars.read_list(SPARK_JARS)}
    assert listed["spark-sql-kafka-0-10_2.13"] == version("pyspark")


@pytest.mark.parametrize("change", ["altered", "missing", "extra"])
def test_a_library_that_differs_from_the_list_is_refused(tmp_path: Path, change: str) -> None:
    listed = tmp_path / "list"
    listed.write_text("2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824  org/a/1/a-1.jar\n")
    fetched = tmp_path / "fetched"
    fetched.mkdir()
    (fetched / "a-1.jar").write_text("hello")
    jars._check(jars.read_list(listed), fetched)
    if change == "missing":
        (fetched / "a-1.jar").unlink()
    else:
        (fetched / ("a-1.jar" if change == "altered" else "b-1.jar")).write_text("other")
    with pytest.raises(FetchFailed, match="b-1.jar" if change == "extra" else "a-1.jar"):
        jars._check(jars.read_list(listed), fetched)
