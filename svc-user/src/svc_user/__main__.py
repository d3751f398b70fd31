"""`python -m svc_user`."""

from corelib.main import main
from svc_user.app import build
from svc_user.settings import UserSettings

if __name__ == "__main__":
    main(UserSettings, build)
