"""A Kafka cluster as Spark's connector is told of it: the options of Java's client behind `kafka.`."""

from corelib.kafka.cluster import Cluster

_IAM = "software.amazon.msk.auth.iam"


def kafka_options(cluster: Cluster) -> dict[str, str]:
    """Return the options for reading and writing. `iam` needs Amazon's `aws-msk-iam-auth` among Spark's packages."""
    told = {"bootstrap.servers": cluster.bootstrap}
    if cluster.ca_file:
        told |= {"ssl.truststore.type": "PEM", "ssl.truststore.certificates": cluster.ca_file.read_text()}
    if cluster.security == "tls":
        told["security.protocol"] = "SSL"
        if cluster.certificate_file and cluster.key_file:
            told |= {
                "ssl.keystore.type": "PEM",
                "ssl.keystore.certificate.chain": cluster.certificate_file.read_text(),
                "ssl.keystore.key": cluster.key_file.read_text(),
            }
    elif cluster.security == "iam":
        told |= {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "AWS_MSK_IAM",
            "sasl.jaas.config": f"{_IAM}.IAMLoginModule required;",
            "sasl.client.callback.handler.class": f"{_IAM}.IAMClientCallbackHandler",
        }
    return {f"kafka.{name}": value for name, value in told.items()}
