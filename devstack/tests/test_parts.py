"""Single parts as the tests of every room use them."""

import shutil
from pathlib import Path

import aiohttp
import asyncpg
import boto3
import pytest
from aiokafka import AIOKafkaProducer

from devstack import mails
from devstack.parts import aws_emulator, postgres_server


async def test_postgres_answers_with_its_password(postgres_dsn: str) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    assert await connection.fetchval("SELECT current_database()") == "souk"
    await connection.close()


async def test_postgres_keeps_its_data_over_a_restart(tmp_path: Path) -> None:
    async with postgres_server(tmp_path) as dsn:
        connection = await asyncpg.connect(dsn)
        await connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
        await connection.close()
    async with postgres_server(tmp_path) as dsn:
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval("SELECT n FROM kept") == 1
        await connection.close()


async def test_postgres_starts_afresh_in_a_home_that_was_deleted(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with postgres_server(home) as dsn:
        connection = await asyncpg.connect(dsn)
        await connection.execute("CREATE TABLE forgotten AS SELECT 1 AS n")
        await connection.close()
    shutil.rmtree(home)
    async with postgres_server(home) as dsn:
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval("SELECT to_regclass('forgotten')") is None
        await connection.close()


async def test_postgres_that_was_killed_comes_back_with_what_was_committed(tmp_path: Path) -> None:
    server = postgres_server(tmp_path)
    async with server as dsn:
        connection = await asyncpg.connect(dsn)
        await connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
        await server.crash()
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await connection.execute("SELECT 1")
        await server.restart()
        connection = await asyncpg.connect(dsn)
        assert await connection.fetchval("SELECT n FROM kept") == 1
        await connection.close()


async def test_kafka_takes_a_record(kafka_bootstrap: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka_bootstrap)
    await producer.start()
    cluster = producer.client.cluster
    await producer.stop()
    assert cluster.brokers()


async def test_the_aws_emulator_keeps_its_state_over_a_restart(tmp_path: Path) -> None:
    async with aiohttp.ClientSession() as session:
        async with aws_emulator(tmp_path) as url, session.put(f"{url}/kept") as answer:
            assert answer.status == 200
        async with aws_emulator(tmp_path) as url, session.head(f"{url}/kept") as answer:
            assert answer.status == 200


async def test_mails_outlive_the_emulator_that_took_them(tmp_path: Path) -> None:
    server = aws_emulator(tmp_path)
    for subject in ("first", "second"):
        async with server as url:
            ses = boto3.client("ses", endpoint_url=url, region_name="ap-south-1")
            ses.verify_email_identity(EmailAddress="shop@example.com")
            ses.send_email(
                Source="shop@example.com",
                Destination={"ToAddresses": ["buyer@example.com"]},
                Message={"Subject": {"Data": subject}, "Body": {"Text": {"Data": "hello"}}},
            )
            subjects = [mail["Subject"] for mail in await mails.sent(server.stack.settings)]
    assert subjects == ["first", "second"]


def test_sparks_connector_is_fetched_whole(spark_jars: str) -> None:
    files = [Path(file) for file in spark_jars.split(",")]
    assert all(file.is_file() for file in files)
    assert any(file.name.startswith("spark-sql-kafka") for file in files)
