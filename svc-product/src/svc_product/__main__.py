"""`python -m svc_product`."""

from corelib.main import main
from svc_product.app import build
from svc_product.settings import ProductSettings

if __name__ == "__main__":
    main(ProductSettings, build)
