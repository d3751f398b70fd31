"""A broker that asks who speaks: TLS with certificates on both sides, and SASL/OAUTHBEARER as MSK's IAM uses it."""

import asyncio
import time
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

import jwt
import pytest
import pytest_asyncio
from aiokafka.errors import SaslAuthenticationFailed

from corelib.broker import Outgoing
from corelib.config import ServiceSettings, load
from corelib.errors import SettingsError, Unavailable
from corelib.headers import SMALL
from corelib.kafka import cluster
from corelib.kafka.broker import Kafka
from corelib.kafka.cluster import Cluster, Tokens
from corelib.kafka.lag import lag_of
from corelib.message import Channel, Record
from devstack.certificates import Authority, authority
from devstack.parts import kafka_server
from devstack.settings import free_ports

CHANNEL = Channel("noted", partitions=1)


@dataclass(frozen=True)
class Guarded:
    """A broker's guarded ports, and who may come in."""

    authority: Authority
    tls: str
    oauth: str


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    ours = authority(folder, "ours")
    tls, oauth = free_ports(2)
    module = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required"
    locks = {
        tls: ours.lock("broker"),
        oauth: {
            **ours.lock("tokens"),
            "security.protocol": "SASL_SSL",
            "ssl.client.auth": "none",
            "sasl.enabled.mechanisms": "OAUTHBEARER",
            "oauthbearer.sasl.jaas.config": f'{module} unsecuredLoginStringClaim_sub="broker";',
            "oauthbearer.sasl.server.callback.handler.class": (
                "org.apache.kafka.common.security.oauthbearer.internals.unsecured.OAuthBearerUnsecuredValidatorCallbackHandler"
            ),
        },
    }
    with kafka_server(folder / "kafka", doors={tls: tls, oauth: oauth}, locks=locks):
        yield Guarded(ours, f"127.0.0.1:{tls}", f"127.0.0.1:{oauth}")


def unsigned(subject: str = "svc") -> tuple[str, float]:
    """Return a token as Kafka's unsecured validator takes it."""
    ends = time.time() + 900
    return jwt.encode({"sub": subject, "iat": int(time.time()), "exp": int(ends)}, "", algorithm="none"), ends


def with_certificate(guarded: Guarded) -> Cluster:
    certificate, key = guarded.authority.issue("service")
    return Cluster(guarded.tls, "tls", guarded.authority.file, certificate, key)


@pytest_asyncio.fixture(params=["certificates", "tokens"])
async def kafka(
    request: pytest.FixtureRequest, guarded: Guarded, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Kafka]:
    if request.param == "certificates":
        place = with_certificate(guarded)
    else:
        monkeypatch.setattr(cluster, "_signed", lambda _: unsigned())
        place = Cluster(guarded.oauth, "iam", guarded.authority.file, region="ap-south-1")
    kafka = Kafka(place, prefix=f"t{uuid4().hex[:8]}-")
    await kafka.provision([CHANNEL])
    await kafka.open()
    yield kafka
    await kafka.close()


async def test_every_client_comes_in(kafka: Kafka) -> None:
    await kafka.check()
    record = Record(CHANNEL.name, "k", (("ce_id", "1"),), b"{}")
    assert list(await kafka.send([record])) == [True]
    sink = kafka.log("outbox")
    assert await sink.begin() is None
    await sink.send([Outgoing(CHANNEL.name, "k", 0, SMALL[0], b"[]")], b"here")
    await sink.commit()
    assert await sink.begin() == b"here"
    await sink.close()
    subscription = kafka.subscribe("group", [CHANNEL])
    await subscription.open()
    deliveries = subscription.deliveries()
    taken = [await asyncio.wait_for(anext(deliveries), 30) for _ in range(2)]
    assert [delivery.record.payload for delivery in taken] == [b"{}", b"[]"]
    await subscription.close()
    waiting = await lag_of(kafka.cluster, kafka.group("group"), [kafka.topic(CHANNEL.name)])
    assert waiting[kafka.topic(CHANNEL.name)].records > 0


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        ("no certificate", "TLS says .*certificate"),
        ("signed by another", "TLS says .*(certificate|unknown)"),
        ("trusts another", "TLS says .*certificate verify failed"),
        ("plain text", "kafka"),
    ],
)
async def test_whoever_may_not_come_in_is_told_that_kafka_is_unavailable(
    guarded: Guarded, tmp_path: Path, mistake: str, said: str
) -> None:
    right = with_certificate(guarded)
    other = authority(tmp_path, "other")
    certificate, key = other.issue("service")
    wrong = {
        "no certificate": Cluster(guarded.tls, "tls", right.ca_file),
        "signed by another": Cluster(guarded.tls, "tls", right.ca_file, certificate, key),
        "trusts another": Cluster(guarded.tls, "tls", other.file, right.certificate_file, right.key_file),
        "plain text": Cluster(guarded.tls),
    }[mistake]
    with pytest.raises(Unavailable, match=said):
        await Kafka(wrong).open()


async def test_whoever_has_no_credentials_is_told_so(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(_: str) -> tuple[str, float]:
        raise ValueError("Unable to locate credentials")

    monkeypatch.setattr(cluster, "_signed", nobody)
    with pytest.raises(Unavailable, match="no token for Kafka: Unable to locate credentials"):
        await Kafka(Cluster(guarded.oauth, "iam", guarded.authority.file, region="ap-south-1")).open()


async def test_without_credentials_there_is_no_token() -> None:
    def nobody() -> tuple[str, float]:
        raise ValueError("Unable to locate credentials")

    with pytest.raises(SaslAuthenticationFailed, match="Unable to locate credentials"):
        await Tokens(nobody).token()


async def test_a_token_is_used_until_it_is_about_to_end() -> None:
    lifetimes = iter([900.0, 30.0, 900.0])
    made: list[str] = []

    def make() -> tuple[str, float]:
        made.append(f"token {len(made)}")
        return made[-1], time.time() + next(lifetimes)

    lasting = Tokens(make)
    assert [await lasting.token() for _ in range(3)] == ["token 0"] * 3
    ending = Tokens(make)
    assert [await ending.token() for _ in range(2)] == ["token 1", "token 2"]


def test_the_token_of_iam_is_a_signed_request_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local-not-a-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local-not-a-secret")
    token, ends = cluster._signed("ap-south-1")
    url = urlsplit(urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode())
    asked = parse_qs(url.query)
    assert url.hostname == "kafka.ap-south-1.amazonaws.com"
    assert asked["Action"] == ["kafka-cluster:Connect"]
    assert "/ap-south-1/kafka-cluster/aws4_request" in asked["X-Amz-Credential"][0]
    assert time.time() < ends <= time.time() + 900


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"SOUK_KAFKA_CA_FILE": "/none.pem"}, "set SOUK_KAFKA_SECURITY=tls"),
        (
            {"SOUK_KAFKA_SECURITY": "tls", "SOUK_KAFKA_CA_FILE": "/none.pem"},
            "from SOUK_KAFKA_CA_FILE=/none.pem",
        ),
        ({"SOUK_KAFKA_SECURITY": "tls", "SOUK_KAFKA_KEY_FILE": "/none.pem"}, "SOUK_KAFKA_CERTIFICATE_FILE and"),
        ({"SOUK_KAFKA_SECURITY": "ssl"}, "SOUK_KAFKA_SECURITY is 'ssl'"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(
    variables: dict[str, str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=said):
        load(ServiceSettings).kafka()
