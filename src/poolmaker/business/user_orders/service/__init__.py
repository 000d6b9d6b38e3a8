"""Choreography of user orders: what users ask for, and the sagas that fund and let out."""

from __future__ import annotations

from poolmaker.business.user_orders._store import PgOrderStore
from poolmaker.business.user_orders.ports import OrderStore
from poolmaker.business.user_orders.service.desk import UserOrders
from poolmaker.business.user_orders.service.steps import OrderPorts
from poolmaker.business.user_orders.service.users import UserRegistry

__all__ = ["OrderPorts", "UserOrders", "UserRegistry", "open_store"]


def open_store() -> OrderStore:
    """User orders in PostgreSQL."""
    return PgOrderStore()
