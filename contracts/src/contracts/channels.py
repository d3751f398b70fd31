"""The topics and queues of the shop. Deployments may prefix the names; code uses these."""

from corelib.message import Channel, Transport

USERS = Channel("users")
PRODUCTS = Channel("products", compacted=True)
STOCK = Channel("stock")
ORDERS = Channel("orders")
PAYMENTS = Channel("payments")
# A function takes from it, which gives nothing back untouched: each receive is a try. What fails five times, a minute
# apart, is a dead letter and raises an alarm; five is the least that AWS advises for a function's queue.
NOTIFICATIONS = Channel("notifications", transport=Transport.SQS, max_receives=5)
ANALYTICS_RESULTS = Channel("analytics-results", compacted=True)
ANALYTICS_PARKED = Channel("analytics-parked")

ALL = (USERS, PRODUCTS, STOCK, ORDERS, PAYMENTS, NOTIFICATIONS, ANALYTICS_RESULTS, ANALYTICS_PARKED)
