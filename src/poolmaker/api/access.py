"""Who may do what: roles, scopes and owners. Each route declares its access, once, by these words.

To add a route: give it a parameter ``principal: Annotated[Principal, Depends(Allow(ACCESS))]`` with
one of the accesses at the end of this module, or a new one. ``docs/access.md`` is made of these
declarations (``make docs``) and ``tests/api/test_access.py`` tries every row of it. Path parameters
take their types from ``api.params``: what they name is checked for its owner before the route runs.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """Who may do what; a caller has exactly one role."""

    USER = "user"
    """Owns orders; sees and moves only their own."""
    VIEWER = "viewer"
    """Sees everything, changes nothing."""
    OPERATOR = "operator"
    """Runs the platform: users, facts about money, safety."""
    TREASURER = "treasurer"
    """The second person for what one person may not do alone."""


class Scope(StrEnum):
    """What a token may be used for; a token has some of its role's scopes."""

    READ = "read"
    """Look at what the role may see."""
    ORDERS = "orders"
    """Open, pause and resume orders."""
    WITHDRAW = "withdraw"
    """Let money leave, to its user's own wallet."""
    TOKENS = "tokens"
    """Issue, rotate and revoke a user's tokens."""
    USERS = "users"
    """Make, bind and disable users; issue tokens of staff."""
    MONEY = "money"
    """Tell facts about money and decide what waits for a person."""
    SAFETY = "safety"
    """Kill switch, freeze, and what closes an incident."""
    APPROVE = "approve"
    """Be the second person."""


_USERS_SCOPES: Final = frozenset({Scope.READ, Scope.ORDERS, Scope.WITHDRAW, Scope.TOKENS})
ROLE_SCOPES: Final = {
    Role.USER: _USERS_SCOPES,
    Role.VIEWER: frozenset({Scope.READ}),
    Role.OPERATOR: frozenset(Scope),
    Role.TREASURER: frozenset({Scope.READ, Scope.MONEY, Scope.SAFETY, Scope.APPROVE}),
}


class Owner(StrEnum):
    """Whose a thing is that a route is about."""

    NOBODY = "nobody"
    """It is about no user: whoever has role and scope is answered."""
    USER = "user"
    """It is a user's: they see and move only their own; other roles act for every user."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a route needs: one of the roles, the scope, and where a user owns it, that user."""

    roles: frozenset[Role]
    scope: Scope
    owner: Owner = Owner.NOBODY
    two_persons: bool = False
    """Nothing happens before a second person agrees; the route calls ``calls.permitted``."""

    def lets_in(self, role: Role, scopes: Collection[Scope]) -> bool:
        """Whether somebody of this role and these scopes may use the route."""
        return role in self.roles and self.scope in scopes


_ALL: Final = frozenset(Role)
_STAFF: Final = frozenset({Role.VIEWER, Role.OPERATOR, Role.TREASURER})
_OPERATOR: Final = frozenset({Role.OPERATOR})
_TWO: Final = frozenset({Role.OPERATOR, Role.TREASURER})
_OWNERS: Final = frozenset({Role.USER, Role.OPERATOR})

LOOK: Final = Access(_ALL, Scope.READ)
LOOK_AT_OWN: Final = Access(_ALL, Scope.READ, Owner.USER)
LOOK_AS_STAFF: Final = Access(_STAFF, Scope.READ)
CHANGE_ORDERS: Final = Access(_OWNERS, Scope.ORDERS, Owner.USER)
WITHDRAW: Final = Access(_OWNERS, Scope.WITHDRAW, Owner.USER)
CHANGE_TOKENS: Final = Access(_OWNERS, Scope.TOKENS, Owner.USER)
BIND_WALLET: Final = Access(_OWNERS, Scope.WITHDRAW, Owner.USER, two_persons=True)
"""Two persons of the staff; one user, with their own token from before wallets were bound."""
CHANGE_USERS: Final = Access(_OPERATOR, Scope.USERS)
GRANT_STAFF: Final = Access(_OPERATOR, Scope.USERS, two_persons=True)
TELL_MONEY: Final = Access(_OPERATOR, Scope.MONEY)
DECIDE_MONEY: Final = Access(_TWO, Scope.MONEY)
DECIDE_OUTCOME: Final = Access(_TWO, Scope.MONEY, two_persons=True)
DECIDE_MONEY_TOGETHER: Final = Access(_TWO, Scope.MONEY, two_persons=True)
CHANGE_SAFETY: Final = Access(_TWO, Scope.SAFETY)
LIFT_SAFETY: Final = Access(_TWO, Scope.SAFETY, two_persons=True)
APPROVE: Final = Access(_TWO, Scope.APPROVE)
RUN_SANDBOX: Final = Access(_OPERATOR, Scope.USERS)
