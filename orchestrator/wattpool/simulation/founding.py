"""Founding the simulated community: what DSO, aggregator, owners and installer do before the first period."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from cryptography.hazmat.primitives.asymmetric import ec

from wattpool.client import Chain, Step
from wattpool.roster import release
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
    _admit(contract, rules.community, homes)
    pages = [Step(function="publish_page", argument={"page": page}) for page in range(page_count(len(homes)))]
    published = contract.submit_together(pages, by=AGGREGATOR)
    release(contract, ledger, published, by=AGGREGATOR)


def _admit(contract: Chain, community: str, homes: Sequence[Home]) -> None:
    """Take all homes through the same steps, each of which builds on the one before."""
    contract.submit_each("register_connection", [_connection(home) for home in homes], by=DSO)
    contract.submit_each("register_metering_point", [_grid_point(home) for home in homes], by=DSO)
    contract.submit_each("register_party", [_party(home, community) for home in homes], by=AGGREGATOR)
    contract.submit_each("register_device", [_device(home, community) for home in homes], by=AGGREGATOR)
    devices = [{"device": home.device} for home in homes]
    contract.submit_each("approve_device", devices, by=DSO)
    # The second approval gives a device its slot, the one after the last.
    contract.submit_each("approve_device", devices, by=AGGREGATOR, one_after_the_other=True)


def _connection(home: Home) -> dict[str, object]:
    return {"connection": home.connection, "feeder": home.plan.feeder, "line_limit_w": home.plan.line_limit_w}


def _grid_point(home: Home) -> dict[str, object]:
    return {"point": home.grid_point, "connection": home.connection, "kind": Kind.GRID.value}


def _party(home: Home, community: str) -> dict[str, object]:
    join = {
        "public_key": signing.public_bytes(home.owner_key).hex(),
        "tariff": home.plan.tariff,
        "generation_cost_ut_per_kwh": home.plan.generation_cost_ut_per_kwh,
        "max_buy_ut_per_kwh": home.max_buy_ut_per_kwh,
    }
    return {"join": _sign(community, "join", (home.party, home.owner_key), join).to_json()}


def _device(home: Home, community: str) -> dict[str, object]:
    install = {
        "public_key": signing.public_bytes(home.device_key).hex(),
        "point": home.grid_point,
        "serial": home.name,
        "maximum_power_w": home.plan.line_limit_w,
    }
    mandate = {"device": home.device, "point": home.grid_point}
    return {
        "install": _sign(community, "install", (home.device, home.device_key), install).to_json(),
        "mandate": _sign(community, "mandate", (home.party, home.owner_key), mandate).to_json(),
        "opening": ocmf.write(home.meter.opening, home.device_key),
    }


def _sign(
    community: str, kind: str, signer: tuple[str, ec.EllipticCurvePrivateKey], content: Mapping[str, object]
) -> Signed:
    identity, key = signer
    statement = Payload(
        kind=kind, community=community, signer=identity, period_start_utc=0, counter=1, content=dict(content)
    )
    return payload.sign(statement, key)
