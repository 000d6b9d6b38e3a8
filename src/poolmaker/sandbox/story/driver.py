"""The whole story from an empty folder to the verdict, and the demo that goes on after it."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Final

from poolmaker.infra.clock import SystemClock
from poolmaker.infra.postgres.cluster import Cluster
from poolmaker.infra.postgres.locks import FileLock
from poolmaker.kernel.clock import SECOND_US, Clock
from poolmaker.kernel.errors import EnvironmentProblem
from poolmaker.kernel.rng import system_rng
from poolmaker.sandbox.story import acts
from poolmaker.sandbox.story.model import ActName, StoryFailed, StoryOptions, Told
from poolmaker.sandbox.story.plan import make_plan
from poolmaker.sandbox.story.processes import checkout
from poolmaker.sandbox.story.series import CampaignSeries
from poolmaker.sandbox.story.stage import CONFIG_NAME, TOKEN_NAME, WORLDS, Stage
from poolmaker.sandbox.story.sums import said
from poolmaker.sandbox.story.wire import session

SEED_MAX: Final = 1_000_000
LOCK_NAME: Final = "demo.lock"
_LOGS: Final = (f"{name}.log" for name in ("platform", *WORLDS))
_LEFT_BEHIND: Final = (CONFIG_NAME, TOKEN_NAME, *_LOGS)
_FLAGS: Final = {
    "trial_balance_ok": "books balance",
    "ledger_verify_ok": "ledger verifies",
    "custody_ok": "custody equals the ledger",
    "allocations_ok": "rewards are shared rightly",
}


def run(options: StoryOptions) -> bool:
    """Tell the story; whether everything held. Raises EnvironmentProblem before it changes a thing.

    With ``as_json`` the last line of standard output is the result as one JSON object.
    """
    clock = SystemClock()
    seed = options.seed if options.seed is not None else system_rng().below(SEED_MAX)
    checkout()
    _refuse(options.home)
    options = replace(options, port=_free_port(options.port))
    lock = _lock(options.home)
    try:
        told = Told(seed=seed)
        started_us = clock.monotonic_us()
        asyncio.run(_tell(options, told, clock, started_us))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None  # SIGTERM and SIGHUP end it as Ctrl-C does.
    finally:
        lock.release()
    if options.as_json:
        sys.stdout.write(json.dumps(told.document()) + "\n")
        sys.stdout.flush()
    return told.ok


def _refuse(home: Path) -> None:
    """Raise EnvironmentProblem where a demo must not begin; writes nothing."""
    if (home / TOKEN_NAME).exists() and not (home / CONFIG_NAME).exists():
        raise EnvironmentProblem(
            f"{home} holds the data of a platform that is not a demo; "
            "choose another folder with --home"
        )
    if not FileLock(home / LOCK_NAME).free():
        raise EnvironmentProblem(_running(home))


def _running(home: Path) -> str:
    return (
        f"a demo is already running in {home}; stop it with Ctrl-C there, "
        "or choose another folder and port with --home and --port"
    )


def _lock(home: Path) -> FileLock:
    """One demo per folder, as long as this process lives."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = FileLock(home / LOCK_NAME)
        taken = lock.try_exclusive(note="demo")
    except OSError as error:
        raise EnvironmentProblem(
            f"the folder {home} cannot be used ({error.strerror}); make it writable or choose "
            "another with --home"
        ) from None
    if not taken:
        raise EnvironmentProblem(_running(home))
    return lock


def _free_port(port: int) -> int:
    """The port itself when nobody has it; for 0 a free one."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise EnvironmentProblem(
                f"port {port} cannot be used ({error.strerror}); stop the program that has it, "
                "or choose another with --port"
            ) from None
        found: int = probe.getsockname()[1]
        return found


async def _tell(options: StoryOptions, told: Told, clock: Clock, started_us: int) -> None:
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    if task is not None:
        for name in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(name, task.cancel)
    await _from_empty(options, clock)
    async with session() as wires:
        stage = Stage(options, make_plan(told.seed), told, clock, wires)
        try:
            await _acts(stage, started_us)
            if not options.once:
                await _go_on(stage)
        except asyncio.CancelledError:
            stage.teller.say(f"stopping; books and logs stay in {options.home}")
            with suppress(KeyboardInterrupt):
                await asyncio.shield(stage.close())
            if not told.finished:
                raise
        except StoryFailed as problem:
            stage.teller.complain(f"{problem}; logs are in {options.home}")
        finally:
            await asyncio.shield(stage.close())


async def _from_empty(options: StoryOptions, clock: Clock) -> None:
    """Remove what an earlier demo made, the database included."""
    await Cluster.erase(options.home, clock)
    for name in _LEFT_BEHIND:
        (options.home / name).unlink(missing_ok=True)


async def _acts(stage: Stage, started_us: int) -> None:
    told, clock = stage.told, stage.clock
    stage.teller.say(f"seed {told.seed}, data in {stage.options.home}")
    try:
        await acts.begin(stage)
        await _play(stage)
        told.finished = True
    finally:
        told.seconds = (clock.monotonic_us() - started_us) / SECOND_US
    name = "done" if told.ok else "failed"
    told.facts = {"fills": str(told.fills)}
    await stage.show(force=True, name=name, done=True)
    stage.teller.say(_verdict(told))


async def _play(stage: Stage) -> None:
    ada, bo = await acts.deposit(stage)
    await acts.stranger(stage)
    await acts.join(stage, (ada, bo))
    offered = await acts.campaign(stage)
    cy = await acts.day_one(stage, offered)
    await acts.pause(stage, ada)
    first = await acts.reward(stage, ActName.REWARD_ONE, offered, day=1)
    bo = await acts.leave(stage, bo)
    await acts.day_two(stage, cy, offered)
    second = await acts.reward(stage, ActName.REWARD_TWO, offered, day=2, user=bo.person.name)
    await acts.later_rewards(stage, bo, [first, second])
    await acts.settle(stage)
    await acts.judge(stage)


def _verdict(told: Told) -> str:
    if not told.verdict:
        return "nothing was judged"
    marks = {True: "yes", False: "NO"}
    document = told.document()
    flags = "; ".join(f"{words}: {marks[document[flag]]}" for flag, words in _FLAGS.items())
    return (
        f"{flags}; orders unknown to the books: {document['open_orders_unknown']}; "
        f"{told.orders_placed} orders, {told.fills} fills, "
        f"{said(told.rewards_received)} of rewards, {told.seconds:.1f} s"
    )


async def _go_on(stage: Stage) -> None:
    """The market goes on until Ctrl-C, and one campaign follows the other.

    A process that dies ends the demo with a sentence.
    """
    campaigns = CampaignSeries(stage.outside.launch, stage.clock)
    await stage.outside.rest(resting=False)
    await campaigns.keep_up()
    stage.told.facts = {}
    await stage.show(force=True, name="free")
    stage.teller.say(f"the market goes on at {stage.page}; stop it with Ctrl-C")
    while True:
        stage.check()
        await campaigns.keep_up()
        await stage.clock.sleep_us(SECOND_US)


__all__ = ["StoryOptions", "run"]
