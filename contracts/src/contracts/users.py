"""Events of svc-user, keyed by user."""

from uuid import UUID

from contracts.channels import USERS
from corelib.message import Event


class UserRegistered(Event, type="souk.user.registered.v1", channels=(USERS,), key="user_id"):
    """An account exists."""

    user_id: UUID
    email: str
    name: str


class UserProfileChanged(Event, type="souk.user.profile-changed.v1", channels=(USERS,), key="user_id"):
    """The user's name or address changed."""

    user_id: UUID
    email: str
    name: str
