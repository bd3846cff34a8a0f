"""The tests beside this one need Fabric's messages."""

import pytest


def test_the_official_messages_are_installed() -> None:
    reason = "hyperledger-fabric-protos is missing, and with it all tests of fabric_gateway; run scripts/setup.sh"
    assert pytest.importorskip("fabric_protos.gateway", reason=reason)
