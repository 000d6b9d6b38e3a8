"""All stores of a world in memory."""

from __future__ import annotations

from poolmaker.kernel.clock import Clock
from poolmaker.lab.platform import WorldStores
from poolmaker.lab.stores.base import ModelDatabase
from poolmaker.lab.stores.bus import ModelBus
from poolmaker.lab.stores.business import ModelOrderStore, ModelPoolStore, ModelWithdrawalStore
from poolmaker.lab.stores.ledger import ModelAuditReader, ModelCommandStore, ModelLedgerStore
from poolmaker.lab.stores.sagas import ModelSagaStore
from poolmaker.lab.stores.treasury import ModelTreasuryStore


def model_stores(clock: Clock) -> WorldStores:
    """Fresh and empty; leases are judged by ``clock``."""
    database = ModelDatabase()
    return WorldStores(
        transactions=database,
        sagas=ModelSagaStore(),
        bus=ModelBus(),
        ledger_store=lambda: ModelLedgerStore(database, clock),
        ledger_rows=ModelCommandStore(),
        evidence=ModelAuditReader(database),
        pools=ModelPoolStore(),
        orders=ModelOrderStore(),
        withdrawals=ModelWithdrawalStore(),
        treasury=ModelTreasuryStore(),
    )
