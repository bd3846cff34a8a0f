"""The three organisations that run a community, who of them must endorse what, and who may submit for them.

Independent people run them; two of three endorse every transaction, so that no operator decides alone.
"""

from collections.abc import Mapping
from types import MappingProxyType

from wattpool_chaincode.chaincode import CallRefusal
from wattpool_chaincode.context import Context, Policy
from wattpool_chaincode.refusal import Refused

DSO = "DsoMSP"
AGGREGATOR = "AggregatorMSP"
MEMBERS = "MembersMSP"
ORGANISATIONS = (AGGREGATOR, DSO, MEMBERS)

# An organisation certifies others than its operators too: nodes, administrators, readers. Only this attribute of a
# certificate lets its holder submit.
ROLE_ATTRIBUTE = "wattpool.role"
OPERATOR = "operator"
OPERATOR_ATTRIBUTES = MappingProxyType({ROLE_ATTRIBUTE: OPERATOR})
# On a network whose one MSP plays several organisations, this one tells for which of them its holder acts.
ORGANISATION_ATTRIBUTE = "wattpool.organisation"

# Which MSP plays which organisation, where a network does not say otherwise.
THEMSELVES = MappingProxyType({organisation: organisation for organisation in ORGANISATIONS})

# What organisations decide by vote, and what they endorse, takes so many of them.
VOTES = 2
TWO_OF_THREE = Policy(required=VOTES, rules=ORGANISATIONS)
# Metering facts: what is connected where, and with which key it signs, is the DSO's word and one more's.
METERING_FACTS = Policy(required=2, rules=(DSO, Policy(required=1, rules=(AGGREGATOR, MEMBERS))))
# Prices and money: who sells the tokens, and those who hold them.
PRICES_AND_MONEY = Policy(required=2, rules=(AGGREGATOR, MEMBERS))


def require_operator(context: Context) -> None:
    """Refuse a submitter who is not certified as an operator of one of the three organisations.

    Raises:
        Refused: not_authorised.
    """
    submitter = context.submitter
    if submitter.msp_id not in ORGANISATIONS or submitter.attributes.get(ROLE_ATTRIBUTE) != OPERATOR:
        raise Refused(CallRefusal.NOT_AUTHORISED, f"{submitter.msp_id} has not certified {ROLE_ATTRIBUTE} = {OPERATOR}")


def acting(msp_id: str, attributes: Mapping[str, str], msp_ids: Mapping[str, str]) -> list[str]:
    """Return as which organisations a certificate of a network's MSP may act; only one of them makes an organisation.

    Args:
        msp_id: the network's own.
        attributes: that the MSP has certified.
        msp_ids: the network's own MSP id of each organisation.
    """
    certified = attributes.get(ORGANISATION_ATTRIBUTE)
    return [name for name, played in msp_ids.items() if played == msp_id and certified in {None, name}]
