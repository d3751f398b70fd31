"""The document of an order, as it is kept in S3."""

import json

from svc_order.domain import Order


def document(order: Order) -> bytes:
    """Return the order's invoice as JSON; amounts are minor units of the currency."""
    content = {
        "order_id": str(order.order_id),
        "user_id": str(order.user_id),
        "placed_at": order.placed_at.isoformat(),
        "confirmed_at": order.ended_at.isoformat() if order.ended_at else None,
        "currency": order.currency,
        "lines": [
            {
                "product_id": line.product_id,
                "quantity": line.quantity,
                "unit_amount": line.amount,
                "amount": line.quantity * line.amount,
            }
            for line in order.lines
        ],
        "total": order.total,
    }
    return json.dumps(content, indent=2).encode()
