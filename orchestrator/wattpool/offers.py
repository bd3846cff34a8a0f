"""Offers by hand from an owner's side: what the owner's key signs; any operator carries it to the ledger chain.

An owner's orders carry one strictly increasing counter, whatever they order; the ledger's `wallet` has the last one.
"""

from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec

from wattpool_chaincode.market.levels import Level
from wattpool_chaincode.records import codec, payload, signing
from wattpool_chaincode.records.payload import Payload, Signed
from wattpool_chaincode.records.period import Period


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What is offered.

    Attributes:
        slot: the connection that exports.
        energy_wh: to be delivered evenly over the window.
        price_ut_per_kwh: network fee not included.
        first: period of the delivery window.
        last: period of the delivery window, in it.
        level: how far away a buyer may be.
    """

    slot: int
    energy_wh: int
    price_ut_per_kwh: int
    first: Period
    last: Period
    level: Level = Level.COMMUNITY


@dataclass(frozen=True, kw_only=True)
class Owner:
    """An owner's hand.

    Attributes:
        community: that the orders are for.
        key: the owner's own.
    """

    community: str
    key: ec.EllipticCurvePrivateKey

    @property
    def party(self) -> str:
        return payload.signer_id(signing.public_bytes(self.key))

    def offer(self, terms: Terms, *, offered: Period, counter: int) -> Signed:
        """Return a signed offer (`add_offer`), made in the period `offered`, which the market has reached."""
        content = {
            "slot": terms.slot,
            "energy_wh": terms.energy_wh,
            "price_ut_per_kwh": terms.price_ut_per_kwh,
            "from_utc": terms.first.start_utc,
            "until_utc": terms.last.end_utc,
            "level": terms.level.value,
        }
        return self.order("offer", content, counter=counter, period_start_utc=offered.start_utc)

    def pick(self, offer: str, *, slot: int, counter: int) -> Signed:
        """Return a signed pick (`pick_offer`) of the offer of this id, by the connection that will import."""
        return self.order("pick", {"offer": offer, "slot": slot}, counter=counter)

    def cancel(self, offer: str, *, counter: int) -> Signed:
        """Return a signed cancellation (`cancel_offer`) of the owner's own offer of this id."""
        return self.order("cancel", {"offer": offer}, counter=counter)

    def order(self, kind: str, content: dict[str, Any], *, counter: int, period_start_utc: int = 0) -> Signed:
        """Return a signed order of any kind that the chains know."""
        statement = Payload(
            kind=kind,
            community=self.community,
            signer=self.party,
            period_start_utc=period_start_utc,
            counter=counter,
            content=content,
        )
        return payload.sign(statement, self.key)


def offer_id(signed: Signed) -> str:
    """Return the id that a signed offer has on the ledger: that of its content."""
    return codec.content_id(signed.payload)
