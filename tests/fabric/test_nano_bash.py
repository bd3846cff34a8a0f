"""Both chaincodes on a network that Fabric's own test-network-nano-bash started, in a copy of the sample."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from wattpool.checkpoints import vote
from wattpool.client import Chain
from wattpool.ledgers.fabric import FabricLedger, channels_of, organisations_of, read_connection
from wattpool.receipts import check, issue
from wattpool.receipts.fabric import evidence_on, published_roots
from wattpool.simulation.community import plan_for
from wattpool.simulation.engine import Simulation, clock_for, open_ledger
from wattpool.simulation.profiles import BUNDLED_DAY_START_UTC, read_profiles, select, to_periods
from wattpool.simulation.report import summarise
from wattpool.simulation.scenario import Scenario
from wattpool.verify.fabric import Peers, chaincodes_of, verify
from wattpool_chaincode.chaincodes import CHAINCODES
from wattpool_chaincode.organisations import AGGREGATOR, DSO, MEMBERS
from wattpool_network.commands import Binaries, environment
from wattpool_network.deployment import Deployment
from wattpool_network.layout import Layout
from wattpool_network.process import Process
from wattpool_network.readiness import is_free, until
from wattpool_network.sample import Sample, open_sample

pytestmark = pytest.mark.long
SAMPLE = "test-network-nano-bash"
TWO_HOURS_S = 7_200
PERIODS = 12
# The first even hour of the day before the bundled week's best one.
START_UTC = BUNDLED_DAY_START_UTC - 86_400 + 3_600
START_DEADLINE_S = 180
PORT_BASE = 13_000
# The sample's ports are fixed: authorities, orderers, peers, and where they are administered.
PORTS = (*range(5052, 5055), *range(6050, 6053), *range(7051, 7059), *range(8443, 8450), *range(9443, 9446))


@pytest.fixture(scope="module")
def samples() -> Path:
    """The directory that install-fabric.sh makes of samples and configuration."""
    directory = os.environ.get("FABRIC_SAMPLES")
    if directory is None or not (Path(directory) / SAMPLE / "network.sh").is_file():
        pytest.skip(f"FABRIC_SAMPLES names no directory with {SAMPLE}; install-fabric.sh samples brings it")
    if not (Path(directory) / "config" / "core.yaml").is_file():
        pytest.skip("FABRIC_SAMPLES has no config/core.yaml; install-fabric.sh binary brings it")
    return Path(directory)


@pytest.fixture(scope="module")
def nano_bash(fabric: Binaries, samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    """The sample network, with certificate authorities and without Docker."""
    programs = Path(fabric.peer).parent
    for program in ("curl", "jq", "fabric-ca-client"):
        if shutil.which(program, path=f"{programs}{os.pathsep}{os.environ['PATH']}") is None:
            pytest.skip(f"{SAMPLE} needs {program}")
    for port in PORTS:
        if not is_free("127.0.0.1", port):
            pytest.skip(f"{SAMPLE} needs port {port}, which is in use")
    root = tmp_path_factory.mktemp("samples")
    for part in (SAMPLE, "config"):
        shutil.copytree(samples / part, root / part)
    use_builder(root / "config" / "core.yaml", fabric.builder)
    process = Process(name=SAMPLE, pid_file=root / "pid", log=root / "log")
    try:
        start = f"cd '{root / SAMPLE}' && exec ./network.sh start -ca"
        path = f"{docker(root / 'stub')}{os.pathsep}{programs}{os.pathsep}{os.environ['PATH']}"
        process.start(("sh", "-c", start), {**environment(), "PATH": path, "DOCKER_HOST": ""})
        until(
            lambda: process.pid is None or "Fabric network running" in process.last_words, deadline_s=START_DEADLINE_S
        )
        assert process.pid is not None, process.tail(20)
        yield open_sample(root / SAMPLE, port_base=PORT_BASE)
    finally:
        process.stop()


@pytest.fixture(scope="module")
def deployment(nano_bash: Sample, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    layout = Layout(tmp_path_factory.mktemp("deployed"))
    deployed = Deployment(sample=nano_bash, layout=layout, report=lambda _: None)
    try:
        deployed.up()
        yield deployed
    finally:
        deployed.down()


@pytest.fixture(scope="module")
def day() -> Scenario:
    profiles = to_periods(select(read_profiles(), start_utc=START_UTC, days=1), TWO_HOURS_S)
    plan = plan_for(None, profiles.households)
    return Scenario(profiles=profiles, plan=plan, mechanism="pool", forecast="last", seed=1)


def use_builder(core: Path, builder: str) -> None:
    """Do what the sample's README asks for to run chaincode as a service, and have no peer look for Docker."""
    value = yaml.safe_load(core.read_text())
    value["chaincode"]["externalBuilders"] = [{"name": "ccaas_builder", "path": builder}]
    value["vm"]["endpoint"] = ""
    core.write_text(yaml.safe_dump(value))


def docker(directory: Path) -> Path:
    """Stand in for the program of which the sample asks where Docker listens: nowhere."""
    directory.mkdir()
    (directory / "docker").write_text("#!/bin/sh\n")
    (directory / "docker").chmod(0o755)
    return directory


def test_a_day_on_the_sample_network_leaves_the_same_figures_and_world_state_as_on_the_embedded_ledger(
    deployment: Deployment, day: Scenario, tmp_path: Path
) -> None:
    with FabricLedger(read_connection(deployment.layout.connection)) as ledger:
        on_sample = Simulation(day, ledger, clock_for(day))
        assert len(list(on_sample.run())) == PERIODS
        with open_ledger(tmp_path / "ledger", day, clock_for(day)) as embedded:
            alone = Simulation(day, embedded, clock_for(day))
            assert len(list(alone.run())) == PERIODS
            assert summarise(on_sample) == summarise(alone)
            for channel in CHAINCODES:
                assert ledger.state(channel) == dict(embedded.state(channel))


def test_msps_that_play_the_organisations_are_verified_as_these_and_vouch_in_receipts(deployment: Deployment) -> None:
    network = read_connection(deployment.layout.connection)
    assert organisations_of(network) == {AGGREGATOR: "Org1MSP", DSO: "Org2MSP", MEMBERS: "Org2MSP"}
    with FabricLedger(network) as ledger:
        vote(ledger, by=DSO)
        assert "root" in vote(ledger, by=AGGREGATOR)
        chain, roots = Chain(ledger, "ledger"), published_roots(ledger)
        for statement in chain.evaluate("statements", by=AGGREGATOR, period=START_UTC, page=0):
            receipt = issue(
                chain,
                evidence_on(ledger, "ledger"),
                period_start_utc=START_UTC,
                connection=statement["connection"],
            )
            assert len(check(receipt, roots).endorsers) == 2
    with Peers(network) as peers:
        report = verify(
            peers, chaincodes=chaincodes_of(channels_of(network, None)), organisations=organisations_of(network)
        )
    assert report.violation is None
    assert report.channels["ledger"].blocks > PERIODS


def test_what_is_deployed_is_left_as_it_is_by_another_deployment(deployment: Deployment) -> None:
    with FabricLedger(read_connection(deployment.layout.connection)) as ledger:
        before = {channel: ledger.height(channel) for channel in CHAINCODES}
    deployment.up()
    with FabricLedger(read_connection(deployment.layout.connection)) as ledger:
        # The check's own transaction is all there is to see.
        assert ledger.height("contract") == before["contract"]
        assert ledger.height("ledger") == before["ledger"] + 1
