"""The e-mails that the emulator's SES took: it keeps them in memory only, so they are written down before it stops."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp

from devstack.settings import StackSettings

Mail = Mapping[str, Any]


async def sent(settings: StackSettings) -> list[Mail]:
    """Return every mail of this home, each once: those kept from earlier runs, and those of the running emulator."""
    kept = await asyncio.to_thread(_read, _file(settings))
    return list({mail["MessageId"]: mail for mail in (*kept, *await _taken(settings))}.values())


async def keep(settings: StackSettings) -> None:
    """Write down what the running emulator holds."""
    mails = await sent(settings)
    file = _file(settings)
    draft = file.with_suffix(".new")
    await asyncio.to_thread(draft.write_text, "".join(json.dumps(mail) + "\n" for mail in mails))
    draft.rename(file)


def _file(settings: StackSettings) -> Path:
    return settings.home / "data" / "aws" / "mails.jsonl"


def _read(file: Path) -> list[Mail]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


async def _taken(settings: StackSettings) -> list[Mail]:
    url = f"{settings.aws_endpoint_url}/_ministack/ses/messages"
    async with aiohttp.ClientSession() as session, session.get(url) as answer:
        answer.raise_for_status()
        return list(_flat((await answer.json())["messages"]))


def _flat(messages: Any) -> Iterator[Mail]:
    """Yield the mails, which the emulator groups by account and region."""
    if isinstance(messages, Mapping):
        for group in messages.values():
            yield from _flat(group)
    else:
        yield from messages
