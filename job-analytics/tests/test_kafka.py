"""Spark and a broker that asks for certificates; what Spark is told where roles of AWS open it."""

from pathlib import Path

from pyspark.sql import SparkSession

from corelib.kafka.broker import Kafka
from corelib.kafka.cluster import Cluster
from corelib.message import Channel
from devstack.certificates import authority
from devstack.parts import kafka_server
from devstack.settings import free_ports
from job_analytics.kafka import kafka_options
from job_analytics.sinks import to_topic


async def test_spark_writes_and_reads_with_a_certificate(spark: SparkSession, tmp_path: Path) -> None:
    ours = authority(tmp_path, "ours")
    (port,) = free_ports(1)
    async with kafka_server(tmp_path / "kafka", doors={port: port}, locks={port: ours.lock("broker")}):
        cluster = Cluster(f"127.0.0.1:{port}", "tls", ours.file, *ours.issue("job"))
        await Kafka(cluster).provision([Channel("minutes", partitions=1)])
        columns = "key binary, value binary, headers array<struct<key:string,value:binary>>"
        rows = spark.createDataFrame([(b"k", b"{}", [])], columns)
        to_topic(rows, cluster, "minutes")
        options = {**kafka_options(cluster), "subscribe": "minutes", "startingOffsets": "earliest"}
        (row,) = spark.read.format("kafka").options(**options).load().collect()
    assert (bytes(row.key), bytes(row.value)) == (b"k", b"{}")


def test_a_role_of_aws_is_asked_for_by_amazons_module() -> None:
    told = kafka_options(Cluster("b-1.example:9098", "iam", region="ap-south-1"))
    assert told["kafka.security.protocol"] == "SASL_SSL"
    assert told["kafka.sasl.mechanism"] == "AWS_MSK_IAM"
    assert "software.amazon.msk.auth.iam.IAMLoginModule" in told["kafka.sasl.jaas.config"]
    assert told["kafka.sasl.client.callback.handler.class"] == "software.amazon.msk.auth.iam.IAMClientCallbackHandler"


def test_plain_text_needs_no_more_than_an_address() -> None:
    assert kafka_options(Cluster("127.0.0.1:9092")) == {"kafka.bootstrap.servers": "127.0.0.1:9092"}
