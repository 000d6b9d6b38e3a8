"""Choreography of the treasury: where our money is, how it moves, and whose it is when it comes."""

from __future__ import annotations

from poolmaker.business.treasury._store import PgTreasuryStore
from poolmaker.business.treasury.model import TRANSFER
from poolmaker.business.treasury.ports import TreasuryStore
from poolmaker.business.treasury.service.arriving import IncomingPayments, ReceptionPorts
from poolmaker.business.treasury.service.carrying import Carrier, CarrierPorts
from poolmaker.business.treasury.service.cash import CashPosition, FundingPorts, FundingQueue
from poolmaker.business.treasury.service.custody import CustodyPorts, CustodyRecords
from poolmaker.business.treasury.service.desk import TreasuryPorts, TreasuryService
from poolmaker.business.treasury.service.netting import NET, FundsRebalancer, NettingPorts
from poolmaker.business.treasury.service.sending import CourierPorts, OutboundSender, SendingDesk
from poolmaker.business.treasury.service.suspense import SuspenseBook
from poolmaker.business.treasury.service.watching import ArrivalWatch
from poolmaker.infra.sagas.ports import SagaHandler

__all__ = [
    "NET",
    "ArrivalWatch",
    "Carrier",
    "CarrierPorts",
    "CashPosition",
    "CourierPorts",
    "CustodyPorts",
    "CustodyRecords",
    "FundingPorts",
    "FundingQueue",
    "FundsRebalancer",
    "IncomingPayments",
    "NettingPorts",
    "OutboundSender",
    "ReceptionPorts",
    "SendingDesk",
    "SuspenseBook",
    "TreasuryPorts",
    "TreasuryService",
    "handlers",
    "open_store",
]


def handlers(carrier: Carrier, netting: FundsRebalancer) -> dict[str, SagaHandler]:
    """Saga kind to its handler."""
    return {TRANSFER: carrier, NET: netting}


def open_store() -> TreasuryStore:
    """The treasury's rows in PostgreSQL."""
    return PgTreasuryStore()
