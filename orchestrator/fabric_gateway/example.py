r"""An example: enrol with a Fabric CA, write an asset, read it back, and follow the events.

It runs on Fabric's own test network (fabric-samples/test-network with a CA and asset-transfer-basic deployed):

    python -m fabric_gateway.example --peer localhost:7051 --server-name peer0.org1.example.com \
        --tls-root PEER-TLS-CA.pem --ca https://localhost:7054 --ca-root CA.pem --user user1 --secret user1pw
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from fabric_gateway import EndorseError, Identity, MemoryCheckpointer, PrivateKeySigner, Tls, blocking
from fabric_gateway.ca import CaClient, certificate_request


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the example; see the options for what it needs."""
    options = _options().parse_args(arguments)
    identity, signer = enrol(options)
    tls = Tls(root_pem=options.tls_root.read_bytes(), server_name=options.server_name) if options.tls_root else None
    with blocking.Connection(options.peer, tls=tls) as connection:
        network = blocking.Gateway(connection, identity, signer).network(options.channel)
        contract = network.contract(options.chaincode)

        try:
            committed = contract.submit("CreateAsset", options.asset, "yellow", "5", options.user, "1300")
        except EndorseError as error:
            # The chaincode's refusal, as it put it; nothing was written.
            print(f"refused: {error.refusal.message if error.refusal else error}")  # noqa: T201 -- what it is for
            return
        print(f"created {options.asset} in block {committed.block_number}")  # noqa: T201

        asset = json.loads(contract.evaluate("ReadAsset", options.asset))
        print(f"it is {asset}")  # noqa: T201

        checkpointer = MemoryCheckpointer()
        place = {"start_block": committed.block_number, "checkpoint": checkpointer}
        with network.chaincode_events(options.chaincode, **place) as events:
            event = next(events)
            print(f"event {event.name} of transaction {event.transaction_id}")  # noqa: T201
            # Only now is it dealt with; a FileCheckpointer would go on here after a crash.
            checkpointer.checkpoint_chaincode_event(event)


def enrol(options: argparse.Namespace) -> tuple[Identity, PrivateKeySigner]:
    """Get a certificate for a new key from the CA."""
    tls = Tls(root_pem=options.ca_root.read_bytes()) if options.ca_root else None
    key = ec.generate_private_key(ec.SECP256R1())
    enrollment = CaClient(options.ca, tls=tls, ca_name=options.ca_name).enroll(
        options.user, options.secret, certificate_request(key, options.user)
    )
    identity = Identity(msp_id=options.msp_id, certificate_pem=enrollment.certificate_pem)
    return identity, PrivateKeySigner(key)


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Write an asset, read it back, follow the events.")
    parser.add_argument("--peer", required=True, help="host:port of a Gateway peer")
    parser.add_argument("--server-name", help="the name in the peer's TLS certificate")
    parser.add_argument("--tls-root", type=Path, help="PEM file of the peer's TLS root; without: no TLS")
    parser.add_argument("--ca", required=True, help="address of the Fabric CA, https://host:port")
    parser.add_argument("--ca-root", type=Path, help="PEM file of the CA's TLS root, for https")
    parser.add_argument("--ca-name", default="", help="name of the CA, if its server has several")
    parser.add_argument("--user", required=True, help="enrollment id, registered before")
    parser.add_argument("--secret", required=True, help="its enrollment secret")
    parser.add_argument("--msp-id", default="Org1MSP")
    parser.add_argument("--channel", default="mychannel")
    parser.add_argument("--chaincode", default="basic")
    parser.add_argument("--asset", default="asset1000")
    return parser


if __name__ == "__main__":
    main()
