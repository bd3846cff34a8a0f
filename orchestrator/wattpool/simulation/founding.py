"""Founding the simulated community: what DSO, aggregator, owners and installer do before the first period."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from cryptography.hazmat.primitives.asymmetric import ec

from wattpool.client import Chain
from wattpool.simulation.community import CommunityPlan
from wattpool.simulation.homes import Home
from wattpool_chaincode.contract.metering_point import Kind
from wattpool_chaincode.contract.rules import Rules
from wattpool_chaincode.organisations import AGGREGATOR, DSO
from wattpool_chaincode.records import ocmf, payload, signing
from wattpool_chaincode.records.payload import Payload, Signed
from wattpool_chaincode.roster import page_count


def found(contract: Chain, ledger: Chain, rules: Rules, plan: CommunityPlan, homes: Sequence[Home]) -> None:
    """Register everything on the contract chain and copy the roster to the ledger chain; repeated, it does no more."""
    contract.submit("found", by=AGGREGATOR, **asdict(rules))
    for name, tariff in plan.tariffs.items():
        contract.submit("set_tariff", by=AGGREGATOR, name=name, **asdict(tariff))
    for home in homes:
        _admit(contract, rules.community, home)
    for page in range(page_count(len(homes))):
        digest = contract.submit("publish_page", by=AGGREGATOR, page=page)["page"]
        ledger.submit("adopt_page", by=AGGREGATOR, page=digest)
    version = contract.submit("publish_roster", by=AGGREGATOR)["version"]
    ledger.submit("adopt_roster", by=AGGREGATOR, version=version)


def _admit(contract: Chain, community: str, home: Home) -> None:
    contract.submit(
        "register_connection",
        by=DSO,
        connection=home.connection,
        feeder=home.plan.feeder,
        line_limit_w=home.plan.line_limit_w,
    )
    contract.submit(
        "register_metering_point",
        by=DSO,
        point=home.grid_point,
        connection=home.connection,
        kind=Kind.GRID.value,
    )
    join = {
        "public_key": signing.public_bytes(home.owner_key).hex(),
        "tariff": home.plan.tariff,
        "generation_cost_ut_per_kwh": home.plan.generation_cost_ut_per_kwh,
        "max_buy_ut_per_kwh": home.tariff.retail_ut_per_kwh,
    }
    install = {
        "public_key": signing.public_bytes(home.device_key).hex(),
        "point": home.grid_point,
        "serial": home.name,
        "maximum_power_w": home.plan.line_limit_w,
    }
    mandate = {"device": home.device, "point": home.grid_point}
    owner, device = (home.party, home.owner_key), (home.device, home.device_key)
    contract.submit("register_party", by=AGGREGATOR, join=_sign(community, "join", owner, join).to_json())
    contract.submit(
        "register_device",
        by=AGGREGATOR,
        install=_sign(community, "install", device, install).to_json(),
        mandate=_sign(community, "mandate", owner, mandate).to_json(),
        opening=ocmf.write(home.meter.opening, home.device_key),
    )
    for organisation in (DSO, AGGREGATOR):
        contract.submit("approve_device", by=organisation, device=home.device)


def _sign(
    community: str, kind: str, signer: tuple[str, ec.EllipticCurvePrivateKey], content: Mapping[str, object]
) -> Signed:
    identity, key = signer
    statement = Payload(
        kind=kind, community=community, signer=identity, period_start_utc=0, counter=1, content=dict(content)
    )
    return payload.sign(statement, key)
