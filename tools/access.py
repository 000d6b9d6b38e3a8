"""The table of who may do what, read from what the routes declare."""

from __future__ import annotations

from pathlib import Path

from poolmaker.api.access import Access, Owner, Role
from poolmaker.api.server import access_of, routes


def _may(access: Access, role: Role) -> str:
    if role not in access.roles:
        return "–"
    return "own" if role is Role.USER and access.owner is Owner.USER else "yes"


def access(_root: Path) -> str:
    """Every route with its scope, what each role may do, and whether two persons are needed."""
    head = ["route", "scope", *(role.value for role in Role), "two persons"]
    rows = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    found = {
        (route.path, method): access_of(route)
        for route in routes()
        for method in sorted(route.methods or ())
    }
    for (path, method), one in sorted(found.items()):
        if one is not None:
            may = [_may(one, role) for role in Role]
            two = "yes" if one.two_persons else ""
            rows.append(f"| `{method} {path}` | {' | '.join([one.scope, *may, two])} |")
    return "\n".join(rows)
