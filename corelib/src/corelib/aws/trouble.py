"""The translation of AWS' refusals into `Unavailable`: what waiting mends, or an operator, says nothing of an event."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from botocore.exceptions import BotoCoreError, ClientError

from corelib.errors import Unavailable

_SERVER_FAULT = 500
_FORBIDDEN = 403
# What is refused to a relay is asked for again within five seconds.
_LATELY_SECONDS = 7.0
_NOT_READY = frozenset(
    {
        "InternalServerError",
        "LimitExceededException",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "ServiceUnavailable",
        "SlowDown",
        "ThrottlingException",
        "TransactionInProgressException",
    }
)
_MISSING = "ResourceNotFoundException"
_LOOK = "a table or stream does not exist: `corelib doctor` names it, the service's --provision makes it"
_RIGHT = "the role lacks a right: grant it what AWS names here"
_UNKNOWN = "its access key or token is not known there: look at AWS_ACCESS_KEY_ID, or at the role"
_EXPIRED = "its credentials have expired and were not renewed: look at the role, or at AWS_SESSION_TOKEN"
_SIGNATURE = "its signature is not accepted: the secret key is wrong, or this machine's clock (`corelib doctor`)"
_NONE = "the call came without credentials"
_KMS = "the KMS key that encrypts it cannot be used: look at the key, its policy, and the role's rights to it"
_ACCOUNT = "the account may not use this service"
# By the codes' names without "Exception", which one protocol has and the other has not.
_REFUSED = {
    "AccessDenied": _RIGHT,
    "AllAccessDisabled": _RIGHT,
    "AuthorizationError": _RIGHT,
    "UnauthorizedOperation": _RIGHT,
    "InvalidAccessKeyId": _UNKNOWN,
    "InvalidClientTokenId": _UNKNOWN,
    "InvalidIdentityToken": _UNKNOWN,
    "InvalidToken": _UNKNOWN,
    "UnrecognizedClient": _UNKNOWN,
    "ExpiredToken": _EXPIRED,
    "TokenRefreshRequired": _EXPIRED,
    "InvalidSignature": _SIGNATURE,
    "RequestExpired": _SIGNATURE,
    "RequestTimeTooSkewed": _SIGNATURE,
    "SignatureDoesNotMatch": _SIGNATURE,
    "IncompleteSignature": _NONE,
    "MissingAuthenticationToken": _NONE,
    "InaccessibleEncryptionCredentials": _KMS,
    "AccountProblem": _ACCOUNT,
    "OptInRequired": _ACCOUNT,
    "SubscriptionRequired": _ACCOUNT,
}


def code_of(error: ClientError) -> str:
    """Return the service's error code, e.g. "ThrottlingException"."""
    return str(error.response.get("Error", {}).get("Code", ""))


def refusal_of(error: ClientError) -> str | None:
    """Say what right, credential or key is amiss; None where that is not why a call was refused."""
    code = code_of(error).removesuffix("Exception")
    if code.lower().startswith("kms"):
        return _KMS
    return _REFUSED.get(code) or (_RIGHT if _status_of(error) == _FORBIDDEN else None)


@contextmanager
def reaching(dependency: str) -> Iterator[None]:
    """Translate what keeps a service from answering into `Unavailable`; refusals of what was asked for pass."""
    try:
        yield
    except ClientError as error:
        if refusal := refusal_of(error):
            raise Unavailable(dependency, f"{refusal} ({error})") from error
        if code_of(error) == _MISSING:
            raise Unavailable(dependency, f"{_LOOK} ({error})") from error
        if code_of(error) in _NOT_READY or _status_of(error) >= _SERVER_FAULT:
            raise Unavailable(dependency, str(error)) from error
        raise
    except BotoCoreError as error:
        raise Unavailable(dependency, str(error)) from error


class Refusals:
    """Which operations a service lately refused for want of a right: only who needs a right can tell that it lacks."""

    def __init__(self, dependency: str) -> None:
        self._dependency = dependency
        self._lately: dict[str, tuple[float, Unavailable]] = {}

    @contextmanager
    def reaching(self, operation: str) -> Iterator[None]:
        """Translate as `reaching` does, and remember a refusal until the operation is answered, or for a while."""
        try:
            with reaching(self._dependency):
                yield
        except Unavailable as error:
            if isinstance(error.__cause__, ClientError) and refusal_of(error.__cause__):
                self._lately[operation] = (_now(), error)
            raise
        except ClientError:
            self._lately.pop(operation, None)
            raise
        self._lately.pop(operation, None)

    def require_none(self) -> None:
        """Raise again what an operation was lately refused with."""
        for at, error in self._lately.values():
            if _now() - at < _LATELY_SECONDS:
                raise error


def _status_of(error: ClientError) -> int:
    return int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def _now() -> float:
    return asyncio.get_running_loop().time()
