"""Whether Wattpool's chaincode answers all organisations of a network, endorses, and reads across its channels.

The questions are put to a community that may not be founded yet, and leave it so: any rules can still be given it.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import partial

from fabric_gateway import GatewayError, Identity, PrivateKeySigner, Reason, Tls, blocking
from wattpool_chaincode.organisations import AGGREGATOR
from wattpool_network.community import CONTRACT, LEDGER
from wattpool_network.connection import Connection
from wattpool_network.errors import NetworkError, NotReady
from wattpool_network.readiness import until

DEADLINE_S = 90.0
_POLL_S = 0.5
# What peers answer until they have heard of each other, and of the chaincode.
_MAY_PASS = (
    Reason.CHAINCODE_STOPPED,
    Reason.CHAINCODE_UNKNOWN,
    Reason.ENDORSEMENTS_DIFFER,
    Reason.POLICY_NOT_SATISFIABLE,
    Reason.UNREACHABLE,
)
# By channel, functions for operators alone, and how the rules refuse them where there is nothing to do yet. The second
# asks the contract chain first, in whose words it is refused.
_QUESTIONS: Mapping[str, tuple[str, str, tuple[str, ...]]] = {
    CONTRACT: ("publish_roster", "{}", ("not_founded", "page_missing")),
    LEDGER: ("adopt_roster", json.dumps({"version": 1}, separators=(",", ":")), ("roster_unknown", "page_missing")),
}


def check(access: Connection) -> None:
    """Have all organisations' clients ask both chaincodes, and one submit a transaction that changes nothing.

    Raises:
        NotReady: if the peers do not know of each other in time.
        NetworkError: if one does not answer as the rules do.
    """
    with ExitStack() as opened:
        gateways = {}
        for known_as, organisation in access.organisations.items():
            tls = Tls(root_pem=organisation.tls_root.read_bytes())
            peer = opened.enter_context(blocking.Connection(organisation.peers[0], tls=tls))
            client = organisation.identities["client"]
            identity = Identity(msp_id=organisation.msp_id, certificate_pem=client.certificate.read_bytes())
            gateways[known_as] = blocking.Gateway(peer, identity, PrivateKeySigner.load(client.key.read_bytes()))
        ledger = gateways[AGGREGATOR].network(LEDGER).contract(LEDGER)
        _await(f"a transaction on channel {LEDGER}", partial(ledger.submit, "supply", "{}"))
        for known_as, gateway in gateways.items():
            for channel, (function, argument, refusals) in _QUESTIONS.items():
                contract = gateway.network(channel).contract(channel)
                _await(f"{known_as} on channel {channel}", partial(contract.evaluate, function, argument), refusals)


def _await(what: str, call: Callable[[], object], refusals: tuple[str, ...] = ()) -> None:
    """Make a call again until it is answered, or refused for one of these reasons."""

    def is_answered() -> bool:
        try:
            call()
        except GatewayError as error:
            if error.refusal is not None and error.refusal.message.partition(": ")[0] in refusals:
                return True
            if error.reason not in _MAY_PASS:
                raise NetworkError(f"{what}: {error}") from error
            return False
        return True

    if not until(is_answered, deadline_s=DEADLINE_S, poll_s=_POLL_S):
        raise NotReady(what, DEADLINE_S)
