"""The market mechanisms, by the names that the rules of a community use."""

from collections.abc import Mapping
from types import MappingProxyType

from wattpool_chaincode.market import pool, uniform
from wattpool_chaincode.market.order import Mechanism

MECHANISMS: Mapping[str, Mechanism] = MappingProxyType({"pool": pool.clear, "uniform": uniform.clear})
