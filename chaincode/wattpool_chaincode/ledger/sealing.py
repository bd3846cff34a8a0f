"""Sealing: the aggregator signs the period record, and with it the seal of the period before."""

from typing import Any

from wattpool_chaincode import authentication, fields
from wattpool_chaincode.authentication import PayloadRefusal
from wattpool_chaincode.context import Context
from wattpool_chaincode.contract.rules import Rules
from wattpool_chaincode.ledger.period import (
    Phase,
    key,
    phase_of,
    read_period,
    require_phase,
    write_phase,
)
from wattpool_chaincode.ledger.refusals import LedgerRefusal
from wattpool_chaincode.ledger.settling import read_result
from wattpool_chaincode.ledger.versions import FIRST_VERSION, latest_version, read_record, read_seal, version_key
from wattpool_chaincode.records import codec
from wattpool_chaincode.records.ocmf import NO_HASH
from wattpool_chaincode.records.payload import Payload, Signed, signer_id
from wattpool_chaincode.refusal import Refused

SEAL = {"previous": fields.DIGEST, "result": fields.DIGEST}


def seal_period(context: Context, argument: dict[str, Any]) -> dict[str, str]:
    """Seal a finalised period with the aggregator's signed `seal` payload; seals form a chain.

    The payload names the hash of the period record and the id of the previous seal (zeros for the first).

    Raises:
        Refused: argument_malformed, period_unknown, a `PayloadRefusal`, too_early, previous_not_ready,
            seal_for_another.
    """
    start_utc, seal = fields.read(argument, period=fields.COUNT, seal=fields.SIGNED)
    state = read_period(context, start_utc)
    stored = context.get(key("seal", start_utc))
    if stored is not None:
        return dict(codec.load(stored))
    payload, signed = _read_seal(seal, state.rules, start_utc)
    require_phase(state, Phase.FINAL)
    previous_utc = state.period.previous.start_utc
    if phase_of(context, previous_utc) not in (None, Phase.SEALED):
        raise Refused(LedgerRefusal.PREVIOUS_NOT_READY, "the period before is not sealed")
    expected = seal_content(read_result(context, start_utc), _seal_of(context, previous_utc))
    if payload.content != expected:
        raise Refused(LedgerRefusal.SEAL_FOR_ANOTHER, f"{payload.content} is sealed; {expected} was expected")

    sealed = {"previous": expected["previous"], "seal": codec.content_id(signed.payload)}
    context.put(key("seal", start_utc), codec.encode(sealed))
    write_phase(context, state, Phase.SEALED)
    return sealed


def seal_correction(context: Context, argument: dict[str, Any]) -> dict[str, str]:
    """Seal a corrected version of a period with the aggregator's signed `seal` payload.

    The payload names the hash of the version's period record and, as the previous one, the seal that it corrects.

    Raises:
        Refused: argument_malformed, period_unknown, version_unknown, a `PayloadRefusal`, seal_for_another.
    """
    start_utc, version, seal = fields.read(argument, period=fields.COUNT, version=fields.COUNT, seal=fields.SIGNED)
    rules = read_period(context, start_utc).rules
    corrected = None if version == FIRST_VERSION else read_seal(context, start_utc, version - 1)
    if corrected is None:
        raise Refused(LedgerRefusal.VERSION_UNKNOWN, f"version {version} corrects no sealed version")
    result = read_record(context, start_utc, version)
    stored = context.get(version_key("seal", start_utc, version))
    if stored is not None:
        return dict(codec.load(stored))
    payload, signed = _read_seal(seal, rules, start_utc)
    expected = seal_content(result, corrected)
    if payload.content != expected:
        raise Refused(LedgerRefusal.SEAL_FOR_ANOTHER, f"{payload.content} is sealed; {expected} was expected")

    sealed = {"previous": corrected, "seal": codec.content_id(signed.payload)}
    context.put(version_key("seal", start_utc, version), codec.encode(sealed))
    return sealed


def sealed_by(context: Context, argument: dict[str, Any]) -> dict[str, Any]:
    """Return the id of the transaction that sealed a version of a period, the latest if `version` is 0.

    Returns:
        `transaction` and `version`; of the period `length_s`, and in how many `pages` its slots were settled.

    Raises:
        Refused: argument_malformed, period_unknown, too_early.
    """
    start_utc, version = fields.read(argument, period=fields.COUNT, version=fields.COUNT)
    state = read_period(context, start_utc)
    about = {"length_s": state.period.length_s, "pages": len(state.roster.pages)}
    version = version or latest_version(context, start_utc)
    # A seal is written once.
    for written in context.history(version_key("seal", start_utc, version)):
        return {**about, "transaction": written.transaction_id, "version": version}
    raise Refused(LedgerRefusal.TOO_EARLY, f"version {version} of the period at {start_utc} is not sealed")


def seal_content(result: dict[str, Any], previous: str) -> dict[str, str]:
    """Return what a seal states: the hash of a period record and the id of the seal before."""
    return {"previous": previous, "result": codec.content_id(codec.encode(result))}


def _read_seal(seal: object, rules: Rules, start_utc: int) -> tuple[Payload, Signed]:
    payload, signed = authentication.decode(seal, kind="seal", community=rules.community, content=SEAL)
    authentication.require_period(payload.period_start_utc, start_utc)
    seal_key = bytes.fromhex(rules.seal_key)
    if payload.signer != signer_id(seal_key):
        raise Refused(PayloadRefusal.SIGNER_UNKNOWN, payload.signer)
    authentication.authenticate(signed, seal_key)
    return payload, signed


def _seal_of(context: Context, start_utc: int) -> str:
    stored = context.get(key("seal", start_utc))
    return NO_HASH if stored is None else str(codec.load(stored)["seal"])
