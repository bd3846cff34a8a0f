"""What is registered once and never changed in place."""

from wattpool_chaincode.context import Context, Policy
from wattpool_chaincode.contract.refusals import ContractRefusal
from wattpool_chaincode.refusal import Refused


def write_once(context: Context, key: str, value: bytes, *, identity: str, policy: Policy) -> None:
    """Write a new entry under `policy`; the same one again changes nothing.

    Raises:
        Refused: exists_with_other_content.
    """
    stored = context.get(key)
    if stored is not None:
        if stored != value:
            raise Refused(ContractRefusal.EXISTS_WITH_OTHER_CONTENT, identity)
        return

    context.put(key, value)
    context.set_policy(key, policy)
