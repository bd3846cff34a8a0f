"""The example runs."""

import json

import pytest

from fabric_gateway import example
from gateway.fabric_ca import FabricCa
from gateway.fabric_peer import CHAINCODE, CHANNEL, FabricPeer
from gateway.organisation import Organisation


@pytest.mark.parametrize("asset", ["asset7", "taken"])
def test_the_example_enrols_writes_reads_and_follows(
    peer: FabricPeer, organisation: Organisation, capsys: pytest.CaptureFixture[str], asset: str
) -> None:
    ca = FabricCa(organisation)
    options = {"peer": peer.address, "ca": ca.url, "user": "admin", "secret": "adminpw", "channel": CHANNEL}
    options |= {"chaincode": CHAINCODE, "asset": asset}
    try:
        example.main([text for name, value in options.items() for text in (f"--{name}", value)])
    finally:
        ca.stop()
    printed = capsys.readouterr().out
    if asset == "taken":
        assert printed == "refused: taken exists\n"
        assert peer.blocks == []
    else:
        assert printed.startswith("created asset7 in block 0\nit is " + str(json.loads('{"ID": "asset7"}')))
        assert f"event CreateAsset of transaction {peer.blocks[0].transaction_id}" in printed
