"""`python -m svc_payment`."""

from corelib.main import main
from svc_payment.app import build
from svc_payment.settings import PaymentSettings

if __name__ == "__main__":
    main(PaymentSettings, build)
