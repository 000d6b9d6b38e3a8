"""The recording oracle's wire: login, exchange keys, campaigns, leaderboard, wishes, figures."""

from __future__ import annotations

from typing import Final

from poolmaker.hufi import rules
from poolmaker.hufi.rules import CampaignType
from poolmaker.kernel.errors import Unavailable
from poolmaker.sandbox.chain.options import CHAIN_ID
from poolmaker.sandbox.hufi import shown
from poolmaker.sandbox.hufi.auth import SIGN_UP, signer_of
from poolmaker.sandbox.hufi.calls import Answer, Asked, Handler, HttpRoute, UserHandler, route
from poolmaker.sandbox.hufi.fields import SIGNATURE, UUID, Fields
from poolmaker.sandbox.hufi.jobs import Job, Jobs
from poolmaker.sandbox.hufi.model import (
    Campaign,
    ExchangeKey,
    ExchangePermission,
    Status,
    User,
)
from poolmaker.sandbox.hufi.options import ADMIN_KEY, EXCHANGE, EXCHANGES
from poolmaker.sandbox.hufi.refusals import HufiRefusal, unauthorized, unprocessable
from poolmaker.sandbox.hufi.results import outcome, record
from poolmaker.sandbox.hufi.world import NOT_AUTHORIZED, HufiWorld

LIMIT_DEFAULT: Final = 10
LIMIT_MAX: Final = 1_000
TOKENS_MAX: Final = 10
JOB_PAUSE_US: Final = 60_000_000
BOARD_AGE_S: Final = 30
_AUTO_TYPES: Final = (CampaignType.MARKET_MAKING, CampaignType.HOLDING)
_ALL: Final = tuple(ExchangePermission)


class OracleApi:
    """Everything that a participant asks the recording oracle."""

    def __init__(self, world: HufiWorld, jobs: Jobs) -> None:
        self._world = world
        self._jobs = jobs
        self._ran_us: dict[Job, int] = {}

    def routes(self) -> list[HttpRoute]:
        """All its routes."""
        keys, campaign = "/exchange-api-keys", "/campaigns/{campaign}"
        return [
            route("POST", "/auth/nonce", self._nonce),
            route("POST", "/auth", self._login),
            route("POST", "/auth/refresh", self._refresh),
            route("POST", "/auth/logout", self._logout),
            route("POST", keys, self._as_user(self._put_key)),
            route("GET", keys, self._as_user(self._list_keys)),
            route("GET", f"{keys}/exchanges", self._as_user(self._key_exchanges)),
            route("POST", f"{keys}/{{exchange}}/revalidate", self._as_user(self._revalidate)),
            route("DELETE", f"{keys}/{{exchange}}", self._as_user(self._delete_key)),
            route("GET", f"{keys}/{{exchange}}", self._as_user(self._show_key)),
            route("POST", "/campaigns/join", self._as_user(self._join)),
            route("POST", "/campaigns/check-join-status", self._as_user(self._join_status)),
            route("GET", "/campaigns", self._as_user(self._joined)),
            route("GET", f"{campaign}/leaderboard", self._leaderboard, BOARD_AGE_S),
            route("GET", "/me", self._as_user(self._me)),
            route("PATCH", "/me/preferences", self._as_user(self._prefer)),
            route("GET", "/stats/total-volume", self._total_volume),
            route("GET", "/stats/campaigns", self._campaign_counts),
            route("GET", "/health/ping", self._ping),
            route("GET", "/health/check", self._health),
            route("POST", "/admin/check-campaign-progress", self._as_admin(self._check_progress)),
            route("POST", "/admin/trigger-cron-job", self._as_admin(self._trigger)),
        ]

    def _as_user(self, act: UserHandler) -> Handler:
        async def handle(asked: Asked) -> Answer:
            claims = self._world.tokens.check(asked.headers.get("Authorization"))
            user = self._world.users.get(claims.wallet_address)
            if user is None:
                raise unauthorized()
            return await act(asked, user)

        return handle

    @staticmethod
    def _as_admin(act: Handler) -> Handler:
        async def handle(asked: Asked) -> Answer:
            if asked.headers.get("X-Admin-API-Key") != ADMIN_KEY:
                raise unauthorized()
            return await act(asked)

        return handle

    async def _nonce(self, asked: Asked) -> Answer:
        fields = asked.fields()
        address = fields.address().lower()
        fields.done()
        user = self._world.users.get(address)
        return 200, {"nonce": SIGN_UP if user is None else user.nonce}

    async def _login(self, asked: Asked) -> Answer:
        fields = asked.fields()
        address = fields.address().lower()
        signature = fields.matching("signature", SIGNATURE, "must be a valid signature")
        fields.done()
        known = self._world.users.get(address)
        nonce = SIGN_UP if known is None else known.nonce
        if signer_of(nonce, signature) != address:
            raise HufiRefusal(401, "Invalid signature")
        user = self._world.sign_up(address)
        user.nonce = self._world.tokens.new_nonce()
        return 200, self._world.tokens.issue(user)

    def _owner_of(self, asked: Asked) -> User | None:
        fields = asked.fields()
        token = fields.matching("refresh_token", UUID, "must be a UUID")
        fields.done()
        return self._world.user_where(lambda user: user.refresh_token == token)

    async def _refresh(self, asked: Asked) -> Answer:
        return 200, self._world.tokens.refresh(self._owner_of(asked))

    async def _logout(self, asked: Asked) -> Answer:
        owner = self._owner_of(asked)
        if owner is not None:
            owner.refresh_token = None
        return 204, None

    async def _missing(self, key: ExchangeKey) -> tuple[ExchangePermission, ...]:
        try:
            return await self._world.exchange.missing((key.key, key.secret), _ALL)
        except Unavailable:
            raise HufiRefusal(503, "Error while checking exchange access") from None

    async def _put_key(self, asked: Asked, user: User) -> Answer:
        fields = asked.fields()
        exchange = _exchange_of(fields, "exchange_name")
        api_key, secret = fields.text("api_key", 200), fields.text("secret_key", 5_000)
        extras = asked.body.get("extras")
        if extras is not None and not isinstance(extras, dict):
            fields.blame("extras", "must be an object")
        fields.done()
        made = ExchangeKey(self._world.tokens.new_id(), exchange, api_key, secret, None)
        missing = await self._missing(made)
        if missing:
            raise unprocessable(NOT_AUTHORIZED, details={"missing_permissions": list(missing)})
        known = user.keys.get(exchange)
        if known is not None:
            made.key_id = known.key_id
        user.keys[exchange] = made
        return 200, {"id": made.key_id}

    async def _list_keys(self, _asked: Asked, user: User) -> Answer:
        return 200, [shown.key(one) for one in user.keys.values()]

    async def _key_exchanges(self, _asked: Asked, user: User) -> Answer:
        return 200, list(user.keys)

    def _key(self, asked: Asked, user: User) -> ExchangeKey:
        places = asked.places()
        exchange = _exchange_of(places, "exchange")
        places.done()
        found = user.keys.get(exchange)
        if found is None:
            raise HufiRefusal(404, "Exchange API key not found")
        return found

    async def _revalidate(self, asked: Asked, user: User) -> Answer:
        key = self._key(asked, user)
        key.missing = await self._missing(key)
        said: dict[str, object] = {"is_valid": not key.missing}
        if key.missing:
            said["missing_permissions"] = list(key.missing)
        return 200, said

    async def _delete_key(self, asked: Asked, user: User) -> Answer:
        places = asked.places()
        exchange = _exchange_of(places, "exchange")
        places.done()
        self._world.forget_key(user, exchange)
        return 204, None

    async def _show_key(self, asked: Asked, user: User) -> Answer:
        self._key(asked, user)
        raise HufiRefusal(403, "Forbidden", status_code=403)

    async def _join(self, asked: Asked, user: User) -> Answer:
        fields = asked.fields()
        chain_id, address = fields.chain_id(), fields.address()
        fields.done()
        if chain_id != CHAIN_ID:
            raise unprocessable("Campaign not found")
        campaign = await self._world.learn(address, user)
        await self._world.join(user, campaign)
        return 200, {"id": campaign.campaign_id}

    async def _join_status(self, asked: Asked, user: User) -> Answer:
        fields = asked.fields()
        chain_id, address = fields.chain_id(), fields.address()
        fields.done()
        campaign = self._world.campaigns.get(address)
        if chain_id != CHAIN_ID or campaign is None:
            return 200, {"status": "not_available"}
        joined_ms = campaign.joined_ms.get(user.user_id)
        if joined_ms is not None:
            return 200, {"status": "already_joined", "joined_at": shown.iso(joined_ms)}
        reason = "ended" if campaign.status is not Status.ACTIVE else None
        reason = reason or self._world.why_closed(campaign)
        if reason is not None:
            return 200, {"status": "join_closed", "reason": reason}
        return 200, {"status": "can_join"}

    async def _joined(self, asked: Asked, user: User) -> Answer:
        fields = asked.questions()
        chain_id = fields.chain_id(is_optional=True)
        limit, skip = fields.count("limit", LIMIT_DEFAULT, LIMIT_MAX), fields.count("skip", 0)
        statuses = fields.choices("status", list(Status))
        kinds = fields.choices("type", list(CampaignType))
        exchanges = fields.choices("exchange", EXCHANGES)
        fields.done()
        found = [
            one
            for one in self._world.campaigns.values()
            if user.user_id in one.joined_ms
            and chain_id in {None, CHAIN_ID}
            and (not statuses or one.status in statuses)
            and (not kinds or one.terms.type in kinds)
            and (not exchanges or one.manifest.exchange in exchanges)
        ]
        found.reverse()
        page = found[skip : skip + limit]
        has_more = len(found) > skip + limit
        return 200, {"has_more": has_more, "results": [shown.joined(one) for one in page]}

    def _named(self, asked: Asked) -> Campaign | None:
        chain, _, address = asked.path["campaign"].partition("-")
        fields = Fields({"chain_id": chain, "address": address})
        chain_id, found = fields.chain_id(), fields.address()
        fields.done()
        return self._world.campaigns.get(found) if chain_id == CHAIN_ID else None

    async def _leaderboard(self, asked: Asked) -> Answer:
        campaign = self._named(asked)
        if campaign is None:
            return 200, {"data": [], "total": 0, "updated_at": shown.iso(self._world.now_ms())}
        if campaign.status in {Status.COMPLETED, Status.CANCELLED}:
            raise unprocessable("Campaign already finished")
        wallets = {user.user_id: user.address for user in self._world.users.values()}
        joined = [wallets[user_id] for user_id in campaign.joined_ms]
        return 200, shown.leaderboard(campaign, joined, self._world.now_ms())

    async def _me(self, _asked: Asked, user: User) -> Answer:
        return 200, shown.user(user)

    async def _prefer(self, asked: Asked, user: User) -> Answer:
        wish = user.preferences
        inside = asked.body.get("campaigns_autojoin")
        fields = Fields(inside if isinstance(inside, dict) else {})
        enabled = fields.flag("enabled", wish.enabled)
        exchanges = fields.texts("exchanges", wish.exchanges, lambda one: one == EXCHANGE)
        kinds = fields.texts("campaign_types", wish.campaign_types, lambda one: one in _AUTO_TYPES)
        tokens = fields.texts("tokens", wish.tokens, lambda one: 1 < len(one) <= 10)
        if len(tokens) > TOKENS_MAX:
            fields.blame("tokens", f"must contain no more than {TOKENS_MAX} elements")
        told = asked.body.get("notifications")
        notices = Fields(told if isinstance(told, dict) else {})
        notifies = notices.flag("campaigns_autojoin", wish.notifies)
        fields.done()
        notices.done()
        wish.enabled, wish.exchanges, wish.tokens = enabled, exchanges, tokens
        wish.campaign_types, wish.notifies = kinds, notifies
        return 200, shown.preferences(wish)

    def _at(self, asked: Asked) -> list[Campaign]:
        fields = asked.questions()
        exchanges = fields.choices("exchange_name", EXCHANGES)
        fields.done()
        campaigns = self._world.campaigns.values()
        return [one for one in campaigns if not exchanges or one.manifest.exchange in exchanges]

    async def _total_volume(self, asked: Asked) -> Answer:
        total = sum(
            one.scores.total
            for campaign in self._at(asked)
            if campaign.terms.type.counts_volume
            for one in campaign.recorded
        )
        return 200, {"total_volume": shown.number(float(total))}

    async def _campaign_counts(self, asked: Asked) -> Answer:
        statuses = [one.status for one in self._at(asked)]
        completed = statuses.count(Status.COMPLETED)
        cancelled = statuses.count(Status.CANCELLED)
        return 200, {
            "n_finished": completed + cancelled, "n_completed": completed, "n_cancelled": cancelled,
        }  # fmt: skip

    async def _ping(self, _asked: Asked) -> Answer:
        return 200, {"app_name": "poolmaker-sandbox-hufi", "status": "ok"}

    async def _health(self, _asked: Asked) -> Answer:
        return 200, {"status": "ok"}

    async def _check_progress(self, asked: Asked) -> Answer:
        fields = asked.fields()
        chain_id, address = fields.chain_id(), fields.address()
        period = fields.instant("from_date"), fields.instant("to_date")
        fields.done()
        campaign = self._world.campaigns.get(address)
        if chain_id != CHAIN_ID or campaign is None:
            raise unprocessable("Campaign not found")
        scores = await self._jobs.score(campaign, period)
        try:
            made = record(campaign, scores, period, self._world.tokens.new_id)
        except rules.ScoringFailed as failure:
            raise unprocessable(str(failure)) from None
        return 200, {
            "from": shown.iso(period[0]), "to": shown.iso(period[1]),
            "reserved_funds": shown.plain(made.pool), "total": shown.number(scores.total),
            "participants_outcomes": [outcome(campaign.terms, one) for one in scores.outcomes],
        }  # fmt: skip

    async def _trigger(self, asked: Asked) -> Answer:
        known = [job for job in Job if job is not Job.PAYOUT]
        job_id = asked.body.get("job_id")
        fields = asked.fields()
        if job_id not in known:
            fields.blame("job_id", f"must be one of the following values: {', '.join(known)}")
        fields.done()
        job, now_us = Job(str(job_id)), self._world.clock.monotonic_us()
        ran_us = self._ran_us.get(job)
        if ran_us is not None and now_us - ran_us < JOB_PAUSE_US:
            raise HufiRefusal(429, "Too many requests", status_code=429)
        self._ran_us[job] = now_us
        await self._jobs.run(job)
        return 204, None


def _exchange_of(fields: Fields, name: str) -> str:
    found = fields.text(name)
    if found != EXCHANGE:
        fields.blame(name, f"must be one of the following values: {EXCHANGE}")
    return found
