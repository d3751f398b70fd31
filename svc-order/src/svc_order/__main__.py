"""`python -m svc_order`."""

from corelib.main import main
from svc_order.app import build
from svc_order.settings import OrderSettings

if __name__ == "__main__":
    main(OrderSettings, build)
