"""The two chaincodes of a community."""

from collections.abc import Mapping
from types import MappingProxyType

from wattpool_chaincode.chaincode import Chaincode
from wattpool_chaincode.contract import CONTRACT
from wattpool_chaincode.ledger import LEDGER

# By name, which is that of its channel, too. In this order: the ledger's queries the contract's.
CHAINCODES: Mapping[str, Chaincode] = MappingProxyType({one.name: one for one in (CONTRACT, LEDGER)})
