"""The topics and queues of the shop. Deployments may prefix the names; code uses these."""

from corelib.message import Channel, Transport

USERS = Channel("users")
PRODUCTS = Channel("products", compacted=True)
STOCK = Channel("stock")
ORDERS = Channel("orders")
PAYMENTS = Channel("payments")
NOTIFICATIONS = Channel("notifications", transport=Transport.SQS)
ANALYTICS_RESULTS = Channel("analytics-results", compacted=True)
ANALYTICS_PARKED = Channel("analytics-parked")

ALL = (USERS, PRODUCTS, STOCK, ORDERS, PAYMENTS, NOTIFICATIONS, ANALYTICS_RESULTS, ANALYTICS_PARKED)
