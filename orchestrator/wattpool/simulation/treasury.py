"""Tokens in a simulation: each home starts the day with what it may need, and cashes what it earned."""

from collections.abc import Mapping, Sequence
from typing import Any

from wattpool.client import Chain
from wattpool.simulation.homes import Home
from wattpool_chaincode.organisations import AGGREGATOR
from wattpool_chaincode.records import payload
from wattpool_chaincode.records.payload import Payload
from wattpool_chaincode.records.period import DAY_S, Period

# Arguments by the function that they are for.
Orders = dict[str, list[dict[str, Any]]]
_EMPTY_PURSE = {"balance_ut": 0, "deposit_ut": 0, "withdraw_ut": 0}
_NEW_WALLET = {"balance_ut": 0, "counter": 0}


class Treasury:
    """Keeps the purses of all homes at `target_ut` from day to day.

    It looks at the ledger for what is missing, so that it can be called again wherever a run was cut off.
    """

    def __init__(
        self, ledger: Chain, homes: Sequence[Home], slots: Mapping[str, int], *, community: str, target_ut: int
    ) -> None:
        self._ledger = ledger
        self._homes = homes
        self._slots = slots
        self._community = community
        self._target_ut = target_ut

    def start_day(self, period: Period, first: Period) -> None:
        """At the first period of each day of the run, top purses up and take out what is above the target."""
        if (period.start_utc - first.start_utc) % DAY_S:
            return
        day = (period.start_utc - first.start_utc) // DAY_S
        orders = _no_orders()
        for home in self._homes:
            purse = self._ledger.evaluate("purse", by=AGGREGATOR, slot=self._slots[home.connection])
            wallet = self._ledger.evaluate("wallet", by=AGGREGATOR, party=home.party)
            self._balance(home, day, purse, wallet, orders)
        self._submit(orders)

    def fill(self) -> None:
        """Fill the purses of homes that never had a token."""
        orders = _no_orders()
        for home in self._homes:
            self._balance(home, 0, _EMPTY_PURSE, _NEW_WALLET, orders)
        self._submit(orders)

    def _submit(self, orders: Orders) -> None:
        for kind, arguments in orders.items():
            # Buying and redeeming change the one key that holds the supply.
            self._ledger.submit_each(kind, arguments, by=AGGREGATOR, one_after_the_other=kind in ("buy", "redeem"))

    def _balance(
        self, home: Home, day: int, purse: Mapping[str, int], wallet: Mapping[str, int], orders: Orders
    ) -> None:
        slot = self._slots[home.connection]
        counter = wallet["counter"] + 1
        missing_ut = self._target_ut - (purse["balance_ut"] + purse["deposit_ut"] - purse["withdraw_ut"])
        if missing_ut > 0:
            buy_ut = missing_ut - wallet["balance_ut"]
            if buy_ut > 0:
                orders["buy"].append({"party": home.party, "amount_ut": buy_ut, "reference": f"{home.name}-{day}"})
            orders["deposit"].append(self._order("deposit", home, counter, slot=slot, amount_ut=missing_ut))
            return
        if wallet["balance_ut"]:
            orders["redeem"].append(self._order("redeem", home, counter, amount_ut=wallet["balance_ut"]))
            counter += 1
        if missing_ut < 0:
            orders["withdraw"].append(self._order("withdraw", home, counter, slot=slot, amount_ut=-missing_ut))

    def _order(self, kind: str, home: Home, counter: int, **content: int) -> dict[str, list[str]]:
        statement = Payload(
            kind=kind,
            community=self._community,
            signer=home.party,
            period_start_utc=0,
            counter=counter,
            content=content,
        )
        return {"order": payload.sign(statement, home.owner_key).to_json()}


def _no_orders() -> Orders:
    return {"buy": [], "deposit": [], "redeem": [], "withdraw": []}
