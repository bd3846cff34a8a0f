"""The three organisations that run a community, and who of them must endorse what.

Independent people run them; two of three endorse every transaction, so that no operator decides alone.
"""

from wattpool_chaincode.context import Policy

DSO = "DsoMSP"
AGGREGATOR = "AggregatorMSP"
MEMBERS = "MembersMSP"
ORGANISATIONS = (AGGREGATOR, DSO, MEMBERS)

TWO_OF_THREE = Policy(required=2, rules=ORGANISATIONS)
# Metering facts: what is connected where, and with which key it signs, is the DSO's word and one more's.
METERING_FACTS = Policy(required=2, rules=(DSO, Policy(required=1, rules=(AGGREGATOR, MEMBERS))))
# Prices and money: who sells the tokens, and those who hold them.
PRICES_AND_MONEY = Policy(required=2, rules=(AGGREGATOR, MEMBERS))
