# What the services' code uses, by its logical names. tests/test_drift.py compares it with that code.

locals {
  tables = {
    orders            = { key = "order_id", indexes = { by-user = { key = "user_id", sort = "placed_at" } } }
    order-messaging   = { key = "pk", sort = "sk", indexes = { due = { key = "shard", sort = "due" } }, ttl = "expires_at", stream = true }
    order-prices      = { key = "product_id" }
    carts             = { key = "user_id" }
    payments          = { key = "order_id" }
    payment-messaging = { key = "pk", sort = "sk", indexes = { due = { key = "shard", sort = "due" } }, ttl = "expires_at", stream = true }
    sessions          = { key = "session_id", ttl = "expires_at" }
    notifications     = { key = "notification_id", ttl = "expires_at" }
  }

  buckets = {
    product-images    = { browser_origins = var.browser_origins }
    order-documents   = { infrequent_after_days = 90 }
    analytics-results = { infrequent_after_days = 30, expire_after_days = 730 }
  }

  queues = {
    # Each receive of a function's is a try: after five, a minute apart, someone is told (contracts.channels).
    notifications = { visibility_seconds = 60, max_receives = 5 }
  }

  # MSK has no API for topics: a job in the cluster, with the rights of the workload `topics`, makes these.
  topics = merge(
    {
      users             = { partitions = 4, compacted = false }
      products          = { partitions = 4, compacted = true }
      stock             = { partitions = 4, compacted = false }
      orders            = { partitions = 4, compacted = false }
      payments          = { partitions = 4, compacted = false }
      analytics-results = { partitions = 4, compacted = true }
      analytics-parked  = { partitions = 4, compacted = false }
    },
    # A relay that sends in transactions keeps its position in a topic of its own.
    {
      for name in flatten([for service in local.services : service.transactions]) :
      "${name}-receipts" => { partitions = 1, compacted = true }
    },
  )

  secrets = {
    user-postgres-dsn      = "SOUK_POSTGRES_DSN of svc-user"
    product-postgres-dsn   = "SOUK_POSTGRES_DSN of svc-product"
    user-signing-key       = "Ed25519 private key in PEM, mounted as SOUK_SIGNING_KEY_FILE of svc-user"
    user-admin-password    = "SOUK_ADMIN_PASSWORD of svc-user"
    payment-webhook-secret = "SOUK_PROVIDER_WEBHOOK_SECRET of svc-payment, shared with the provider"
  }

  images = ["svc-user", "svc-product", "svc-order", "svc-payment"]

  # Which service touches what; workloads.tf turns it into rights.
  services = {
    user    = { tables = ["sessions"], buckets = [], queues = [], reads = [], writes = ["users"], transactions = ["user-outbox"] }
    product = { tables = [], buckets = ["product-images"], queues = [], reads = ["orders"], writes = ["products", "stock"], transactions = ["product-outbox"] }
    order = {
      tables       = ["orders", "order-messaging", "order-prices", "carts"]
      buckets      = ["order-documents"]
      queues       = ["notifications"]
      reads        = ["payments", "products", "stock"]
      writes       = ["orders", "payments"]
      transactions = []
    }
    payment = { tables = ["payments", "payment-messaging"], buckets = [], queues = [], reads = ["payments"], writes = ["payments"], transactions = [] }
  }
}
