"""All that the two oracles remember, and who may join what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from poolmaker.hufi.rules import CampaignType
from poolmaker.kernel.clock import Clock
from poolmaker.kernel.errors import PoolmakerError, PreconditionError
from poolmaker.sandbox.chain.model import token_called
from poolmaker.sandbox.hufi.auth import Tokens
from poolmaker.sandbox.hufi.manifests import InvalidManifest, parse_manifest
from poolmaker.sandbox.hufi.model import (
    Campaign,
    EscrowState,
    ExchangeKey,
    ExchangePermission,
    Processing,
    Status,
    User,
)
from poolmaker.sandbox.hufi.ports import Accounts, EscrowChain
from poolmaker.sandbox.hufi.refusals import HufiRefusal, unprocessable

USERS_MAX: Final = 10_000
CAMPAIGNS_MAX: Final = 10_000
NOT_AUTHORIZED: Final = "Provided API key can't be authorized on exchange"
FORGOTTEN: Final = "Campaign was recorded before this start: who took part is not known any more"
_FINISHED: Final = frozenset(
    {Processing.COMPLETED, Processing.PENDING_COMPLETION, Processing.PENDING_CANCELLATION}
)


def needed(kind: CampaignType) -> tuple[ExchangePermission, ...]:
    """What a key must allow to take part."""
    first = ExchangePermission.TRADES if kind.counts_volume else ExchangePermission.BALANCE
    return (first, ExchangePermission.DEPOSIT)


class HufiWorld:
    """Users and campaigns. One event loop owns it."""

    def __init__(
        self, escrows: EscrowChain, exchange: Accounts, tokens: Tokens, clock: Clock
    ) -> None:
        self.escrows = escrows
        self.exchange = exchange
        self.tokens = tokens
        self.clock = clock
        self.users: dict[str, User] = {}
        self.campaigns: dict[str, Campaign] = {}
        self.events: list[str] = []
        self.limits_holding_join = False

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return self.clock.now_us() // 1_000

    def note(self, text: str) -> None:
        """Remember what went wrong in a job; the newest thousand."""
        self.events.append(text)
        del self.events[:-1_000]

    def user_where(self, test: Callable[[User], bool]) -> User | None:
        """The first user that fits."""
        return next((user for user in self.users.values() if test(user)), None)

    def account_of(self, header: str | None) -> int | None:
        """The number of the participant whose bearer this is, in order of first logins from 1."""
        try:
            claims = self.tokens.check(header)
        except HufiRefusal:
            return None
        known = list(self.users)
        return known.index(claims.wallet_address) + 1 if claims.wallet_address in known else None

    def sign_up(self, address: str) -> User:
        """The user of a wallet, made at its first login."""
        known = self.users.get(address)
        if known is not None:
            return known
        if len(self.users) >= USERS_MAX:
            raise PreconditionError("there are too many users for a sandbox")
        made = User(self.tokens.new_id(), address, self.tokens.new_nonce())
        self.users[address] = made
        return made

    async def learn(self, address: str, asker: User) -> Campaign:
        """The campaign of an escrow, read from the chain when it is not known yet.

        Whoever wants it unasked is joined then, besides the asker, who joins by himself.

        Raises HufiRefusal 422 when it is none of ours or its manifest is not in order.
        """
        known = self.campaigns.get(address)
        if known is not None:
            return known
        if not await self.escrows.has(address):
            raise unprocessable("Campaign not found")
        state = await self.escrows.read(address)
        if state.oracles[1] != self.escrows.recording_oracle:
            raise unprocessable("Campaign not found")
        try:
            made = self.add(state)
        except InvalidManifest as problem:
            raise unprocessable(str(problem)) from None
        await self.join_unasked(made, asker)
        return made

    def add(self, state: EscrowState) -> Campaign:
        """Remember a campaign.

        Raises InvalidManifest with the reason when HuFi does not serve it.
        """
        token = token_called(state.token)
        if token is None:
            raise InvalidManifest(f"Fund token not supported: {state.token}")
        manifest = parse_manifest(state.manifest)
        known = self.campaigns.get(state.address)
        if known is not None:
            return known
        if state.intermediate_hash:
            # Scored anew, nobody would have taken part, and what is reserved for people would go
            # back to the launcher.
            raise InvalidManifest(FORGOTTEN)
        if len(self.campaigns) >= CAMPAIGNS_MAX:
            raise InvalidManifest("too many campaigns for a sandbox")
        made = Campaign(
            self.tokens.new_id(), state.address, token, manifest, state, self.clock.now_us()
        )
        self.campaigns[state.address] = made
        return made

    def key_of(self, user: User, campaign: Campaign) -> ExchangeKey:
        """The user's key at the campaign's exchange, or the refusal."""
        key = user.keys.get(campaign.manifest.exchange)
        if key is None:
            raise unprocessable("Exchange API key not found")
        return key

    async def join(self, user: User, campaign: Campaign) -> None:
        """Take part from now on.

        Raises HufiRefusal 422 with the first reason against it, Unavailable when the exchange
        does not answer.
        """
        if user.user_id in campaign.joined_ms:
            raise unprocessable("User has already joined the campaign")
        self._check_open(campaign)
        key = self.key_of(user, campaign)
        wanted = needed(campaign.terms.type)
        missing = await self.exchange.missing((key.key, key.secret), wanted)
        if missing:
            raise unprocessable(f"{NOT_AUTHORIZED}. Missing: {', '.join(missing)}")
        self._check_open(campaign)
        campaign.joined_ms.setdefault(user.user_id, self.now_ms())

    def _check_open(self, campaign: Campaign) -> None:
        if campaign.status in {Status.CANCELLED, Status.TO_CANCEL}:
            raise unprocessable("Campaign cancelled")
        reason = self.why_closed(campaign)
        if reason == "ended":
            raise unprocessable("Campaign already finished")
        if reason == "target_met":
            raise unprocessable("Joining the campaign is limited. Target is met.")
        if reason == "max_participants_reached":
            raise unprocessable(
                "Campaign has reached the maximum number of participants. "
                f"Total: {campaign.terms.participants_max}"
            )

    def why_closed(self, campaign: Campaign) -> str | None:
        """Why nobody can join, None while one can."""
        if campaign.processing in _FINISHED or self.now_ms() >= campaign.until_ms:
            return "ended"
        most = campaign.terms.participants_max
        if most is not None and len(campaign.joined_ms) >= most:
            return "max_participants_reached"
        interim, target = campaign.interim, campaign.terms.target
        if (
            self.limits_holding_join
            and campaign.terms.type is CampaignType.HOLDING
            and interim is not None
            and interim.scores.total >= target
        ):
            return "target_met"
        return None

    def forget_key(self, user: User, exchange: str) -> None:
        """Delete a key, which ends taking part in that exchange's live campaigns."""
        user.keys.pop(exchange, None)
        chosen = user.preferences.exchanges
        user.preferences.exchanges = [name for name in chosen if name != exchange]
        for campaign in self.campaigns.values():
            is_live = campaign.status in {Status.ACTIVE, Status.TO_CANCEL}
            if is_live and campaign.manifest.exchange == exchange:
                campaign.joined_ms.pop(user.user_id, None)

    async def join_unasked(self, campaign: Campaign, besides: User | None = None) -> None:
        """Join all ``besides`` one whose wishes it meets; a failing key ends a wish."""
        base = campaign.terms.subject.partition("/")[0]
        for user in list(self.users.values()):
            wish = user.preferences
            wanted = (
                user is not besides
                and wish.enabled
                and campaign.manifest.exchange in wish.exchanges
                and campaign.terms.type in wish.campaign_types
                and base in wish.tokens
            )
            if not wanted:
                continue
            try:
                await self.join(user, campaign)
            except PoolmakerError as problem:
                self.note(f"autojoin of {user.address}: {problem}")
            except HufiRefusal as refusal:
                self.note(f"autojoin of {user.address}: {refusal.message}")
                if refusal.message.startswith((NOT_AUTHORIZED, "Exchange API key")):
                    kept = [one for one in wish.exchanges if one != campaign.manifest.exchange]
                    wish.exchanges = kept
