"""The table of kinds: what each is, who bears it, and its legs in words."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from poolmaker.business.ledger import commands
from poolmaker.business.ledger.rules import (
    facts,
    joins,
    moves,
    pools,
    requests,
    resolving,
    unowned,
)
from poolmaker.business.ledger.rules.books import LedgerState, Verdict

# Each decider takes its own command, and the table's key says which; so here it is Any.
Decider = Callable[[LedgerState, Any, int], Verdict]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of command. ``legs`` reads "from → to"; ``bearer`` says whose balance changes."""

    command: type[commands.Command]
    decide: Decider
    bearer: str
    legs: str

    @property
    def is_request(self) -> bool:
        """Whether it may be refused."""
        return self.command in commands.REQUESTS


_ROWS: Final = (
    Kind(
        commands.OperatorIn,
        facts.operator_in,
        "the operator",
        "location grows; platform:equity grows",
    ),
    Kind(
        commands.OperatorOut,
        requests.operator_out,
        "the operator",
        "location falls; platform:equity falls",
    ),
    Kind(
        commands.FundFeeFloat,
        requests.fund_fee_float,
        "the operator",
        "platform:equity → platform:fee_float",
    ),
    Kind(
        commands.FloatTrade,
        requests.float_trade,
        "the operator",
        "platform:equity → platform:fee_float, or the other way",
    ),
    Kind(
        commands.SettleFees,
        requests.settle_fees,
        "the operator",
        "platform:fees or platform:dust → platform:equity",
    ),
    Kind(
        commands.BearShortfall,
        requests.bear_shortfall,
        "the operator",
        "location falls; platform:equity falls",
    ),
    Kind(
        commands.CreditDeposit,
        facts.credit_deposit,
        "the user",
        "location grows; his deficit is repaid, then user:available grows",
    ),
    Kind(
        commands.CreditSuspense,
        facts.credit_suspense,
        "nobody yet",
        "location grows; suspense grows",
    ),
    Kind(commands.Lock, requests.lock, "the user", "user:available → order:locked"),
    Kind(commands.Unlock, requests.unlock, "the user", "order:locked → user:available"),
    Kind(
        commands.JoinPoolV1,
        pools.join_pool_v1,
        "the order",
        "order:locked → pool:capital in base and quote; pool:issued and order:shares grow by what"
        " the writer computes",
    ),
    Kind(
        commands.LeavePoolV1,
        pools.leave_pool_v1,
        "the order",
        "order:shares and pool:issued fall; the same fraction of base and quote goes"
        " pool:capital → exit",
    ),
    Kind(
        commands.JoinPool,
        joins.join_pool,
        "the order",
        "order:locked → pool:capital of what joins; pool:issued and order:shares grow by what the"
        " writer computes",
    ),
    Kind(
        commands.LeavePool,
        joins.leave_pool,
        "the order",
        "order:shares and pool:issued fall, by all where less than the minimum would stay; the same"
        " fraction of base and quote goes pool:capital → exit",
    ),
    Kind(
        commands.SettleExit,
        pools.settle_exit,
        "the order",
        "exit → order:locked, all but what is at risk; all when final",
    ),
    Kind(
        commands.Fill,
        facts.fill,
        "the pool and its open exits by shares at the barrier; suspense where nobody is left",
        "custody and the bearers: what is bought grows, what is sold falls",
    ),
    Kind(
        commands.TradeFee,
        facts.trade_fee,
        "as FILL",
        "custody and the bearers fall; a rebate lets them grow",
    ),
    Kind(
        commands.RechargeFee,
        facts.recharge_fee,
        "as FILL, in quote",
        "custody and platform:fee_float fall in the third asset; bearers → platform:fee_float in"
        " quote, rounded up",
    ),
    Kind(
        commands.MoveOut,
        moves.move_out,
        "nobody",
        "location → transit; refused where pools and leavers own it",
    ),
    Kind(commands.MoveIn, moves.move_in, "nobody", "transit → location"),
    Kind(
        commands.MoveFee,
        moves.move_fee,
        "the operator; orders pay what they were quoted",
        "transit or location falls; platform:equity falls",
    ),
    Kind(
        commands.PlatformFee,
        moves.platform_fee,
        "the order, as quoted",
        "order:locked → platform:fees",
    ),
    Kind(
        commands.ResolveSuspense,
        unowned.resolve_suspense,
        "nobody yet",
        "suspense → user:available",
    ),
    Kind(commands.Refund, unowned.refund, "nobody yet", "suspense → withdrawal:held"),
    Kind(
        commands.ReceiveReward,
        unowned.receive_reward,
        "nobody yet",
        "location grows; rewards:unallocated grows",
    ),
    Kind(
        commands.Dust,
        unowned.dust,
        "the reward",
        "rewards:unallocated → platform:dust",
    ),
    Kind(
        commands.AllocateReward,
        unowned.allocate_reward,
        "the reward",
        "rewards:unallocated → platform:fees and rewards:allocated",
    ),
    Kind(
        commands.CreditReward,
        unowned.credit_reward,
        "the reward",
        "rewards:allocated → user:available",
    ),
    Kind(
        commands.HoldWithdraw,
        requests.hold_withdraw,
        "the user",
        "user:available → withdrawal:held",
    ),
    Kind(
        commands.ReleaseWithdraw,
        requests.release_withdraw,
        "the user",
        "withdrawal:held → user:available",
    ),
    Kind(
        commands.DebitWithdraw,
        facts.debit_withdraw,
        "the user",
        "location falls; withdrawal:held falls",
    ),
    Kind(
        commands.NetworkFee,
        facts.network_fee,
        "the withdrawal as held, the operator beyond that",
        "location falls; withdrawal:held falls, then platform:equity",
    ),
    Kind(
        commands.BearDeficit,
        resolving.bear_deficit,
        "the operator",
        "platform:equity falls; the account's deficit falls, or suspense below zero grows",
    ),
    Kind(
        commands.ResolveSuspenseTo,
        resolving.resolve_suspense_to,
        "nobody yet",
        "suspense → user:available, pool:capital or platform:equity",
    ),
    Kind(
        commands.KeepReward,
        resolving.keep_reward,
        "the reward",
        "rewards:unallocated → platform:equity",
    ),
    Kind(
        commands.SetAside,
        resolving.set_aside,
        "nobody",
        "none; the named command is answered as refused",
    ),
    Kind(
        commands.Reversal,
        facts.reversal,
        "who bore what it reverses",
        "the mirror image of the legs of the named transaction",
    ),
)

KINDS: Final[dict[str, Kind]] = {str(row.command.__struct_config__.tag): row for row in _ROWS}


def kind_of(command: commands.Command) -> str:
    """The drawing's word for a command."""
    return str(command.__struct_config__.tag)


def decide(books: LedgerState, command: commands.Command, at_us: int) -> Verdict:
    """What ``command`` does to ``books`` at ledger time ``at_us``; changes nothing.

    A request answers a Decision or a Refusal, a fact a Decision or Stuck. Only a reversal that
    names nothing is refused like a request.
    """
    return KINDS[kind_of(command)].decide(books, command, at_us)
