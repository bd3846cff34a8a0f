"""The market mechanisms, by the names that the rules of a community use."""

from collections.abc import Mapping
from types import MappingProxyType

from wattpool_chaincode.market import mid_rate, pay_as_bid, pool, uniform
from wattpool_chaincode.market.order import Mechanism

MECHANISMS: Mapping[str, Mechanism] = MappingProxyType(
    {"pool": pool.clear, "uniform": uniform.clear, "pay_as_bid": pay_as_bid.clear, "mid_rate": mid_rate.clear}
)
# These form coalitions, which t_Lim may keep.
BY_COALITION = frozenset({"pool"})
# These clear what was measured, when the period is settled; the others what was asked for, at the gate.
ON_MEASURED = frozenset({"mid_rate"})
