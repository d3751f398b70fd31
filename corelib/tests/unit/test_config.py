"""Settings: what is wrong is named, what is secret is not shown."""

import json
from pathlib import Path

import pytest
from pydantic import Field, SecretStr

from corelib.config import Port, ServiceSettings, load, printable
from corelib.errors import SettingsError


class Settings(ServiceSettings):
    port: Port = 8099
    attempts: int = Field(default=3, ge=1)
    folder: Path = Path()
    token: SecretStr


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUK_TOKEN", "s3cret")


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUK_ATTEMPTS", "5")
    settings = load(Settings)
    assert (settings.attempts, settings.port, settings.token.get_secret_value()) == (5, 8099, "s3cret")


@pytest.mark.parametrize(
    ("variable", "value", "allowed"),
    [
        ("SOUK_PORT", "65536", "less than or equal to 65535"),
        ("SOUK_ATTEMPTS", "0", "greater than or equal to 1"),
        ("SOUK_ATTEMPTS", "many", "valid integer"),
        ("SOUK_LOG_LEVEL", "loud", "'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_given_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, allowed: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as told:
        load(Settings)
    (line,) = str(told.value).splitlines()
    assert line.startswith(f"{variable} is {value!r}: ")
    assert allowed in line


def test_every_wrong_value_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUK_PORT", "-1")
    monkeypatch.delenv("SOUK_TOKEN")
    with pytest.raises(SettingsError) as told:
        load(Settings)
    assert [line.split()[0] for line in str(told.value).splitlines()] == ["SOUK_PORT", "SOUK_TOKEN"]
    assert "SOUK_TOKEN is not set, and has no default" in str(told.value)


def test_nothing_printed_shows_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOUK_POSTGRES_DSN", "postgresql://souk:p4ss@db/souk")
    shown = printable(load(Settings))
    assert json.loads(shown)["token"] == "***"
    assert json.loads(shown)["postgres_dsn"] == "postgresql://souk:***@db/souk"
    assert "s3cret" not in shown
    assert "p4ss" not in shown
