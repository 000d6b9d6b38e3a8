"""A day of a user through a client that openapi-python-client made of our description."""

from __future__ import annotations

import importlib
import json
import sys
from typing import Any

sys.path.insert(0, sys.argv[1])
ready = json.loads(sys.argv[2])
client: Any = importlib.import_module("client")
models: Any = importlib.import_module("client.models")


def call(name: str) -> Any:
    return importlib.import_module(f"client.api.default.{name}")


def wrong(answer: Any) -> list[object]:
    assert isinstance(answer.parsed, models.Problem), answer
    return [int(answer.status_code), answer.parsed.code]


me = client.AuthenticatedClient(base_url=ready["url"], token=ready["token"])
pools = call("list_pools").sync(client=me)
wish = models.OrderBody(pool_id=pools[0].pool_id, base="0", quote="500")
made = call("open_order").sync(client=me, body=wish, idempotency_key="generated-client-1")
again = call("open_order").sync(client=me, body=wish, idempotency_key="generated-client-1")
assert isinstance(made, models.OrderView), made
assert again.order_id == made.order_id
assert call("show_order").sync(made.order_id, client=me).order_id == made.order_id
nobody = client.AuthenticatedClient(base_url=ready["url"], token="pm_nobody_has_this_token")
print(
    json.dumps(
        {
            "pools": [pool.pool_id for pool in pools],
            "made": made.state,
            "order_states": sorted({o.state for o in call("list_orders").sync(client=me)}),
            "tokens": len(call("list_tokens").sync(client=me)),
            "missing": wrong(call("show_order").sync_detailed("uo_none", client=me)),
            "unauthenticated": wrong(call("list_pools").sync_detailed(client=nobody)),
        }
    )
)
