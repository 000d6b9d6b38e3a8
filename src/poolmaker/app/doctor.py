"""What ``poolmaker doctor`` asks the real services: keys, rights, markets, chains and clocks.

Every question only reads, has its own limit of time, and ends in one sentence. A service that is
not configured is not asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp

from poolmaker.app.business import pool_configs
from poolmaker.app.engines import connector_config
from poolmaker.app.figures import AssetRegistry
from poolmaker.app.outside import chain_wallet_of
from poolmaker.evm.chain import Chain
from poolmaker.evm.rpc import Rpc
from poolmaker.hufi.api import HufiHttp, LauncherApi
from poolmaker.infra.clock import SystemClock
from poolmaker.infra.postgres.doctor import Finding
from poolmaker.infra.settings.model import Settings, VenueAccountSettings
from poolmaker.infra.settings.outside import EvmSettings, HufiSettings, MixinSettings
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import EnvironmentProblem, PoolmakerError
from poolmaker.kernel.money import Asset
from poolmaker.kernel.rng import system_rng
from poolmaker.market.connectors.binance.service import BinanceAccount, open_account
from poolmaker.market.tracking.model import NoMarket
from poolmaker.mixin.api import MixinApi
from poolmaker.mixin.codec.keys import seed_public_key
from poolmaker.mixin.service import keystore_of

QUESTION_S: Final = 15
SKEW_MAX_US: Final = 1 * SECOND_US
"""A venue refuses what was signed longer ago than its window of some seconds."""
DATE_SKEW_MAX_US: Final = 5 * SECOND_US
"""A date in a header is cut to the second and older by the way that it came."""
BLOCK_AGE_MAX_US: Final = 600 * SECOND_US
_TRADING: Final = ("enableReading", "enableSpotAndMarginTrading")
_MOVING: Final = ("enableSpotAndMarginTrading", "enableWithdrawals", "enableInternalTransfer")


async def examine_outside(settings: Settings) -> list[Finding]:
    """One finding for each thing that was asked, in the order of the configuration."""
    clock = SystemClock()
    timeout = aiohttp.ClientTimeout(total=QUESTION_S)
    found: list[Finding] = []
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        for account in settings.venue_accounts:
            found += [one async for one in _venue(settings, account, clock)]
        if settings.mixin is not None:
            found += [one async for one in _mixin(settings.mixin, session, clock)]
        if settings.evm is not None:
            found += [one async for one in _chain(settings.evm, settings.hufi, session, clock)]
        if settings.hufi is not None and settings.evm is not None:
            found += [one async for one in _hufi(settings, settings.hufi, session, clock)]
    return found


async def _asked(name: str, question: Callable[[], Awaitable[str]]) -> Finding:
    """The finding of one question: its sentence, or why there is none."""
    try:
        async with asyncio.timeout(QUESTION_S):
            return Finding(name, ok=True, sentence=await question())
    except EnvironmentProblem as problem:
        sentence, _, remedy = str(problem).rpartition("; ")
        return Finding(name, False, sentence or remedy, f"{remedy[:1].upper()}{remedy[1:]}")
    except TimeoutError:
        sentence = f"no answer within {QUESTION_S} seconds"
    except (PoolmakerError, aiohttp.ClientError, OSError) as error:
        sentence = " ".join(str(error).split())[:200] or type(error).__name__
    return Finding(name, False, sentence, "Check its address and its keys in the configuration.")


# ------------------------------------------------------------------------------------- venues


async def _venue(
    settings: Settings, account: VenueAccountSettings, clock: Clock
) -> AsyncIterator[Finding]:
    name = f"venue {account.id}"
    async with _opened(settings, account, clock) as venue:
        clocks = await _asked(f"{name} clock", lambda: _venue_clock(venue, clock))
        yield clocks
        yield await _asked(f"{name} key", lambda: _trading_key(venue))
        for pool in pool_configs(settings, _scales(settings)):
            if pool.account == account.account:
                spec = pool.market

                async def market(spec: Any = spec) -> str:
                    found = await venue.venue.market(spec)
                    if isinstance(found, NoMarket):
                        raise EnvironmentProblem(f"{spec.symbol}: {found.reason}; correct it")
                    return f"{spec.symbol} is listed with its rules"

                yield await _asked(f"{name} market", market)
    if account.read_only_api_key is not None and account.read_only_secret is not None:
        looking = account.model_copy(
            update={"api_key": account.read_only_api_key, "secret": account.read_only_secret}
        )
        async with _opened(settings, looking, clock) as venue:
            yield await _asked(f"{name} read-only key", lambda: _looking_key(venue))


@asynccontextmanager
async def _opened(
    settings: Settings, account: VenueAccountSettings, clock: Clock
) -> AsyncIterator[BinanceAccount]:
    config = connector_config(account, _scales(settings).assets)
    venue = open_account(config, clock, system_rng().fork("doctor"))
    try:
        yield venue
    finally:
        await venue.close()


def _scales(settings: Settings) -> AssetRegistry:
    return AssetRegistry({one.code: Asset(one.code, one.scale) for one in settings.assets})


async def _venue_clock(venue: BinanceAccount, clock: Clock) -> str:
    before_us = clock.now_us()
    venue_us = await venue.venue.server_time_us()
    return _skew(venue_us - (before_us + clock.now_us()) // 2, SKEW_MAX_US)


async def _rights(venue: BinanceAccount) -> Mapping[str, Any]:
    found = await venue.transport.ask("sapiGetAccountApiRestrictions", {}, 1)
    return found if isinstance(found, dict) else {}


async def _trading_key(venue: BinanceAccount) -> str:
    rights = await _rights(venue)
    missing = [name for name in _TRADING if rights.get(name) is not True]
    if missing:
        raise EnvironmentProblem(
            f"the key is known and lacks {', '.join(missing)}; give it these rights at the venue"
        )
    may = "and may withdraw" if rights.get("enableWithdrawals") is True else "and cannot withdraw"
    return f"the key may read and trade, {may}"


async def _looking_key(venue: BinanceAccount) -> str:
    rights = await _rights(venue)
    if rights.get("enableReading") is not True:
        raise EnvironmentProblem("the key may not read; give it that right at the venue")
    more = [name for name in _MOVING if rights.get(name) is True]
    if more:
        raise EnvironmentProblem(
            f"the key that HuFi is given has {', '.join(more)}; take these rights from it"
        )
    return "the key may read and nothing else"


# -------------------------------------------------------------------------------------- Mixin


async def _mixin(
    settings: MixinSettings, session: aiohttp.ClientSession, clock: Clock
) -> AsyncIterator[Finding]:
    yield await _asked("Mixin clock", lambda: _dated(session, settings.api_url, clock))
    yield await _asked("Mixin bot", lambda: _bot(settings, session, clock))


async def _bot(settings: MixinSettings, session: aiohttp.ClientSession, clock: Clock) -> str:
    keystore = keystore_of(settings)
    api = MixinApi(session, settings.api_url, keystore, clock, system_rng().fork("doctor"))
    me = await api.get("/safe/me")
    if not isinstance(me, dict) or me.get("user_id") != settings.app_id:
        raise EnvironmentProblem("the session belongs to another user; correct mixin.app_id")
    if not me.get("has_safe"):
        raise EnvironmentProblem("the bot has no Safe; register its spend key at Mixin first")
    if me.get("spend_public_key") not in (None, "", seed_public_key(keystore.spend_seed).hex()):
        raise EnvironmentProblem(
            "the spend key is not the one that Mixin knows; correct mixin.spend_private_key"
        )
    return f"the session key works for {me.get('full_name') or settings.app_id}, which has a Safe"


# ------------------------------------------------------------------------------ chain and HuFi


async def _chain(
    settings: EvmSettings,
    hufi: HufiSettings | None,
    session: aiohttp.ClientSession,
    clock: Clock,
) -> AsyncIterator[Finding]:
    chain = Chain(Rpc(session, settings.rpc_url), settings.chain_id, settings.finality_blocks)

    async def node() -> str:
        await chain.verify()
        return f"the node serves chain {settings.chain_id}"

    async def newest() -> str:
        head = await chain.latest()
        age_us = clock.now_us() - await chain.block_time_us(head.number)
        if not -DATE_SKEW_MAX_US <= age_us <= BLOCK_AGE_MAX_US:
            seconds = age_us // SECOND_US
            raise EnvironmentProblem(
                f"block {head.number} is {seconds} seconds old by our clock; "
                "wait until the node has caught up, or set this machine's clock"
            )
        return f"block {head.number} is {max(0, age_us) // SECOND_US} seconds old"

    yield await _asked("chain node", node)
    yield await _asked("chain clock", newest)
    if hufi is not None:
        factory = hufi.escrow_factory

        async def code() -> str:
            if not await chain.has_code(factory):
                raise EnvironmentProblem(
                    f"there is no contract at {factory}; correct hufi.escrow_factory"
                )
            return f"there is a contract at {factory}"

        yield await _asked("escrow factory", code)


async def _hufi(
    settings: Settings, hufi: HufiSettings, session: aiohttp.ClientSession, clock: Clock
) -> AsyncIterator[Finding]:
    chain_id = settings.evm.chain_id if settings.evm is not None else 0

    async def launcher() -> str:
        found = await LauncherApi(HufiHttp(session, hufi.launcher_url)).campaigns(chain_id)
        return f"the launcher knows {len(found)} campaigns on chain {chain_id}"

    async def oracle() -> str:
        body = {"address": chain_wallet_of(settings)}
        await HufiHttp(session, hufi.oracle_url).ask("POST", "/auth/nonce", body=body)
        return "the oracle answers our wallet"

    yield await _asked("HuFi launcher", launcher)
    yield await _asked("HuFi oracle", oracle)
    yield await _asked("HuFi clock", lambda: _dated(session, hufi.oracle_url, clock))


# ------------------------------------------------------------------------------------- clocks


async def _dated(session: aiohttp.ClientSession, url: str, clock: Clock) -> str:
    """How far the date of an answer's header is from our clock, whatever the answer is."""
    async with session.get(url, allow_redirects=False) as answer:
        date = answer.headers.get("Date", "")
    try:
        seconds = int(parsedate_to_datetime(date).timestamp())
    except ValueError:
        return "it answers and does not say what time it is"
    return _skew(seconds * SECOND_US - clock.now_us(), DATE_SKEW_MAX_US)


def _skew(ahead_us: int, most_us: int) -> str:
    """The sentence of a difference of clocks; EnvironmentProblem where it is too large."""
    ms = abs(ahead_us) // 1_000
    if abs(ahead_us) > most_us:
        word = "ahead of" if ahead_us > 0 else "behind"
        raise EnvironmentProblem(
            f"its clock is {ms} ms {word} ours; set this machine's clock by NTP"
        )
    return f"its clock and ours differ by {ms} ms"
