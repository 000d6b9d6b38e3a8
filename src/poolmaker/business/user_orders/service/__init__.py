"""Choreography of user orders: what users ask for, and the sagas that fund and let out."""

from __future__ import annotations

from poolmaker.business.user_orders.service.desk import UserOrders
from poolmaker.business.user_orders.service.steps import OrderPorts

__all__ = ["OrderPorts", "UserOrders"]
