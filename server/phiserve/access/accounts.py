"""What one request uses, counted for its key and for the key's owner: both limits hold."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from phiserve.access.budgets import Budgets, Standing, limit_reached
from phiserve.access.key import Account, Unit
from phiserve.errors import RateLimitReached


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit per minute, and the account that has it."""

    account: Account
    amount: int


@dataclass(frozen=True, slots=True)
class _Taken:
    """What a request has used of a limit, and how that stood then."""

    limit: Limit
    unit: Unit
    amount: int
    standing: Standing


class RequestAccounts:
    """The accounts of one request. `standings`: how the tightest limit of each unit stands.

    `least_left`: the share of each limit that must be left for the request to use any of it.
    """

    def __init__(self, accounts: tuple[Account, ...], budgets: Budgets, least_left: float = 0) -> None:
        self._accounts = accounts
        self._budgets = budgets
        self._least_left = least_left
        self._taken: list[_Taken] = []
        self.standings: dict[Unit, Standing] = {}

    def __iter__(self) -> Iterator[Account]:
        return iter(self._accounts)

    def smallest(self, unit: Unit) -> Limit | None:
        """The smallest limit; what needs more than that will never pass."""
        return min(self._limits(unit), key=lambda limit: limit.amount, default=None)

    async def require(self, unit: Unit, amount: int) -> None:
        """Look how the limits stand; raises RateLimitReached where less than `amount` is left of one."""
        found = [(limit, await self._standing(limit, unit)) for limit in self._limits(unit)]
        self._note(unit, [standing for _, standing in found])
        short = [(limit, standing) for limit, standing in found if standing.remaining < amount]
        if short:  # the one that passes last says when to come again
            limit, standing = max(short, key=lambda one: one[1].resets_at)
            raise limit_reached(unit, standing, amount, limit.account.whose)

    async def require_share(self, unit: Unit) -> None:
        """Look how the limits stand; raises RateLimitReached where less than `least_left` is left of one."""
        for limit in self._limits(unit):
            self._check_share(limit, unit, await self._standing(limit, unit))

    async def take(self, unit: Unit, amount: int) -> None:
        """Use `amount` of all; raises RateLimitReached where one has less left, and then uses none."""
        limits = self._limits(unit)
        if not limits or not amount:
            return
        if len(limits) > 1:
            await self.require(unit, amount)
        taken: list[_Taken] = []
        standings: list[Standing] = []
        try:
            for limit in limits:
                standing = await self._budgets.take(limit.account.id, unit, limit.amount, amount)
                taken.append(_Taken(limit, unit, amount, standing))
                standings.append(standing)
                before = replace(standing, remaining=standing.remaining + amount)
                self._check_share(limit, unit, before)
        except RateLimitReached:  # others came between the look and the use
            await self._give_back(taken)
            await self.require(unit, amount)
            raise
        self._note(unit, standings)
        self._taken += taken

    async def give_back(self) -> None:
        """Undo all that was taken: the request is to be tried again, and is counted then."""
        taken, self._taken = self._taken, []
        await self._give_back(taken)

    async def _give_back(self, taken: list[_Taken]) -> None:
        for one in taken:
            if one.standing.reset_s:  # what a minute had that is over is nobody's any more
                limit = one.limit
                await self._budgets.give_back(limit.account.id, one.unit, limit.amount, one.amount)

    def _check_share(self, limit: Limit, unit: Unit, standing: Standing) -> None:
        if standing.remaining < (least := math.ceil(limit.amount * self._least_left)):
            raise limit_reached(unit, standing, least, limit.account.whose)

    async def charge(self, unit: Unit, amount: int) -> None:
        """Use `amount` of all, also where less is left."""
        for limit in self._limits(unit):
            await self._budgets.charge(limit.account.id, unit, limit.amount, amount)

    def _limits(self, unit: Unit) -> list[Limit]:
        amounts = [(account, account.limits.per_minute(unit)) for account in self._accounts]
        return [Limit(account, amount) for account, amount in amounts if amount is not None]

    async def _standing(self, limit: Limit, unit: Unit) -> Standing:
        return await self._budgets.standing(limit.account.id, unit, limit.amount)

    def _note(self, unit: Unit, standings: list[Standing]) -> None:
        """The tightest is the one of which least is left, and which is whole again last."""
        if standings:
            self.standings[unit] = min(standings, key=lambda one: (one.remaining, -one.resets_at))
