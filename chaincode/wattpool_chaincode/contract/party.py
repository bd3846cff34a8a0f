"""Parties: the accounts behind the connections, each under its owner's key and within its owner's limits."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from wattpool_chaincode import authentication, fields
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.context import Context
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.contract.rules import PRICE, read_rules, read_tariff, require
from wattpool_chaincode.organisations import AGGREGATOR, PRICES_AND_MONEY
from wattpool_chaincode.records import codec
from wattpool_chaincode.records.payload import signer_id
from wattpool_chaincode.refusal import Refused

JOIN = {
    "public_key": fields.PUBLIC_KEY,
    "tariff": fields.NAME,
    "generation_cost_ut_per_kwh": PRICE,
    "max_buy_ut_per_kwh": PRICE,
}


@dataclass(frozen=True, kw_only=True)
class Party:
    """An account: the owner's key, tariff, and the limits within which a meter trades for the owner.

    `changes` counts how often the owner changed it.
    """

    party: str
    public_key: str
    tariff: str
    generation_cost_ut_per_kwh: int
    max_buy_ut_per_kwh: int
    changes: int = 0

    def encode(self) -> bytes:
        return codec.encode(asdict(self))


def register_party(context: Context, argument: dict[str, Any]) -> dict[str, str]:
    """Open an account on an owner's signed `join` payload; the aggregator brings it in.

    Raises:
        Refused: argument_malformed, not_authorised, not_founded, a `PayloadRefusal`, tariff_unknown,
            exists_with_other_content.
    """
    (join,) = fields.read(argument, join=fields.SIGNED)
    require(context, AGGREGATOR)
    community = read_rules(context).community
    payload, signed = authentication.decode(join, kind="join", community=community, content=JOIN)
    public_key = bytes.fromhex(payload.content["public_key"])
    if payload.signer != signer_id(public_key):
        raise Refused(PayloadRefusal.SIGNER_UNKNOWN, "the signer is not the id of the public key")
    authentication.authenticate(signed, public_key)
    read_tariff(context, payload.content["tariff"])
    key = _key(payload.signer)
    value = Party(party=payload.signer, **payload.content).encode()
    stored = context.get(key)
    if stored is not None:
        if value not in (stored, context.get(_past_key(payload.signer, 0))):
            raise Refused(ContractRefusal.EXISTS_WITH_OTHER_CONTENT, payload.signer)
        return {"party": payload.signer}

    context.put(key, value)
    context.set_policy(key, PRICES_AND_MONEY)
    return {"party": payload.signer}


def party(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Return a party's record, as it is now.

    Raises:
        Refused: argument_malformed, party_unknown.
    """
    (identity,) = fields.read(argument, party=fields.IDENTITY)
    return asdict(read_party(context, identity))


def write_changed_party(context: Context, before: Party, after: Party) -> None:
    """Write what a party's owner changed, and keep what it was before."""
    context.put(_past_key(before.party, before.changes), before.encode())
    context.put(_key(after.party), replace(after, changes=before.changes + 1).encode())


def read_party(context: Context, identity: str) -> Party:
    """Return a party.

    Raises:
        Refused: party_unknown.
    """
    return _decode(identity, context.get(_key(identity)))


def read_parties(context: Context, identities: Sequence[str]) -> list[Party]:
    """Return several parties.

    Raises:
        Refused: party_unknown.
    """
    return list(map(_decode, identities, context.get_many([_key(identity) for identity in identities])))


def _decode(identity: str, stored: bytes | None) -> Party:
    if stored is None:
        raise Refused(ContractRefusal.PARTY_UNKNOWN, identity)
    return Party(**codec.load(stored))


def _key(identity: str) -> str:
    return f"party/{identity}"


def _past_key(identity: str, changes: int) -> str:
    return f"party-past/{identity}/{changes:06}"
