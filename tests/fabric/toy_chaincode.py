"""Serves the toy chaincode whose name is the argument, as `wattpool_chaincode.fabric` serves the real ones."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fabric_shim import serve
from ledger.toy import CHAINCODES
from wattpool_chaincode.fabric import FabricChaincode

serve(FabricChaincode(CHAINCODES[sys.argv[1]]))
