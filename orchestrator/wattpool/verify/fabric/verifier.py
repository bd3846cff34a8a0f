"""The check of a Fabric network: each channel from its genesis block, block by block, every contract call run again.

Trust starts at the genesis blocks, whose hashes are reported: in them stand the organisations' roots and the policies.
All else follows from there. Blocks hang together by their hashes and carry the signatures of the orderers that the
configuration in force names; configurations change as their own policies allow; every transaction gets again the
validation code that it deserves; what a valid call of Wattpool's contracts wrote, a run of the same contract over the
replayed state writes again; the replayed state is the peer's, since its commit hash is the same; and at equal height
the peers of all organisations that answer have the same block and the same commit hash.

**Transient data** is on no block. It is found again in the private data, where the contracts keep it under its name
(`wattpool_chaincode.context`); a value that was purged since leaves the transaction unrepeatable, and checked in all
else. **Queries of the other channel** are on no block either, not even the height at which they were answered. Only
what never changes once it is there is read that way (a party's key, a roster and its pages), and a call that did not
find it is refused and on no block: so the answer of the whole other chain, which is checked first, is the answer that
the endorsers got.

Calls that change the channel or its chaincodes (configuration, `_lifecycle`) and calls of other chaincodes are judged
like all others and counted, but not run.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from wattpool.ledgers import fabric_blocks as blocks
from wattpool.ledgers.block import Version
from wattpool.ledgers.fabric_blocks import CONFIG, Block, Called, Effect, Envelope, Undecodable
from wattpool.ledgers.port import ForeignLedger
from wattpool.verify.checkpoints import Checkpoints
from wattpool.verify.execution import Execution, Purged, Unprotected, hash_key
from wattpool.verify.fabric import ranges
from wattpool.verify.fabric.configuration import Configuration
from wattpool.verify.fabric.membership import NotMember
from wattpool.verify.fabric.peers import BlockSource
from wattpool.verify.fabric.policy import in_the_networks_words, to_rules
from wattpool.verify.fabric.validation import VALID, BlockRules, Judged, Verdict, require_code
from wattpool.verify.fabric.world import World
from wattpool.verify.laws import Laws
from wattpool.verify.report import (
    Broken,
    ChannelReport,
    Progress,
    Report,
    Violated,
    ViolationKind,
    located,
    require_pinned,
    require_tips,
)
from wattpool.verify.state import Place
from wattpool.verify.validation import TIME_WINDOW_S
from wattpool_chaincode import contract, ledger
from wattpool_chaincode.chaincode import Chaincode
from wattpool_chaincode.chaincodes import CHAINCODES
from wattpool_chaincode.context import Policy, Submitter
from wattpool_chaincode.organisations import THEMSELVES, acting

_OK = 200
# Stands for a submitter who acts for none of the organisations.
_NOBODY = ""


def verify(  # noqa: PLR0913 -- what a check depends on
    source: BlockSource,
    *,
    chaincodes: Mapping[str, Chaincode],
    organisations: Mapping[str, str] = THEMSELVES,
    genesis: Mapping[str, str] | None = None,
    tips: Mapping[str, tuple[int, str]] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Check the channels of a Fabric network as they are now.

    Args:
        source: has the blocks.
        chaincodes: by channel, those that others query first.
        organisations: the network's own MSP id of each of the rules' organisations.
        genesis: by channel, the hash (lower-case hex) that its genesis block must have; others start from any.
        tips: by channel, the number of blocks that it must have, and the hash of the last of them; it may have more.
        progress: told how many blocks are checked, of how many, after every one.

    Returns:
        What holds, and the first violation.

    Raises:
        LedgerError: if the source does not answer.
    """
    verifier = _Verifier(source, chaincodes, organisations, genesis or {}, progress)
    violation = None
    try:
        verifier.run()
        require_tips(tips or {}, verifier.hashes)
    except Violated as error:
        violation = error.violation
    return Report(channels={name: chain.report() for name, chain in verifier.chains.items()}, violation=violation)


def chaincodes_of(channels: Mapping[str, str]) -> dict[str, Chaincode]:
    """Return Wattpool's chaincodes by channel, of the channels of a community by the names of their chaincodes.

    Raises:
        ForeignLedger: if one of them is on no channel.
    """
    for name in CHAINCODES:
        if name not in channels:
            raise ForeignLedger(f"no channel has the chaincode {name!r}")
    return {channels[name]: chaincode for name, chaincode in CHAINCODES.items()}


@dataclass(kw_only=True)
class _Chain:
    """A channel as far as it is checked.

    Attributes:
        channel: its name.
        chaincode: its contract.
        hashes: of all blocks.
        commit_hashes: of all blocks; that of the first one is empty.
        times: of the transactions, by block and position.
        private: private values of the contract as they are now.
        missing: private values that the peer did not have, by place, and where they were written.
        system: how many transactions were not calls of the contract.
    """

    channel: str
    chaincode: Chaincode
    world: World = field(default_factory=World)
    configuration: Configuration | None = None
    laws: Laws | None = None
    last_config: int = 0
    hashes: list[bytes] = field(default_factory=list)
    commit_hashes: list[bytes] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    times: list[list[int]] = field(default_factory=list)
    private: dict[Place, bytes] = field(default_factory=dict)
    missing: dict[Place, tuple[int, str]] = field(default_factory=dict)
    transactions: int = 0
    unrepeatable: int = 0
    system: int = 0

    @property
    def height(self) -> int:
        return len(self.hashes)

    def report(self) -> ChannelReport:
        return ChannelReport(
            blocks=self.height,
            transactions=self.transactions,
            unrepeatable=self.unrepeatable,
            system=self.system,
            genesis_hash=self.hashes[0].hex() if self.hashes else None,
            tip_hash=self.hashes[-1].hex() if self.hashes else None,
        )

    def private_now(self, place: Place) -> bytes:
        """Return a private value.

        Raises:
            LookupError: if it never was.
            Purged: if it is gone.
        """
        if self.world.state(self.chaincode.name).private(place) is None:
            raise LookupError(place)
        value = self.private.get(place)
        if value is None:
            raise Purged
        return value

    def keep_private(self, own: Effect, came: Mapping[Place, bytes], identity: str) -> None:
        """Note what became of the private values that a transaction of the next block wrote."""
        for collection in own.collections:
            for key_hash, value_hash in collection.writes.items():
                place = (collection.name, key_hash)
                self.private.pop(place, None)
                if key_hash in collection.purges:
                    self.missing.pop(place, None)
                elif place in came:
                    self.private[place] = came[place]
                elif value_hash is not None:
                    self.missing[place] = (self.height, identity)


class _Verifier:
    def __init__(
        self,
        source: BlockSource,
        chaincodes: Mapping[str, Chaincode],
        organisations: Mapping[str, str],
        genesis: Mapping[str, str],
        progress: Progress | None,
    ) -> None:
        self.chains = {name: _new_chain(name, chaincode) for name, chaincode in chaincodes.items()}
        self._source = source
        self._organisations = organisations
        self._genesis = genesis
        self._progress = progress
        self._heights: dict[str, int] = {}
        # Checked to their end, by the names of their chaincodes.
        self._whole: dict[str, _Chain] = {}
        on = (name for name, chain in self.chains.items() if chain.chaincode.name == contract.CONTRACT.name)
        self._checkpoints = Checkpoints(channel=next(on, contract.CHANNEL))

    @property
    def hashes(self) -> dict[str, list[bytes]]:
        """By channel, the hashes of the blocks that hold."""
        return {channel: chain.hashes for channel, chain in self.chains.items()}

    def run(self) -> None:
        """Check everything.

        Raises:
            Violated: what is wrong.
        """
        require_pinned({name: expected for name, expected in self._genesis.items() if name not in self.chains}, {})
        # Whoever is queried is looked at last, so that all that was seen there is in its blocks.
        self._heights = {channel: self._source.height(channel) for channel in reversed(self.chains)}
        for channel, chain in self.chains.items():
            for data in self._source.blocks(channel):
                with located(chain.channel, chain.height):
                    self._check_block(chain, data)
                if self._progress is not None:
                    done = sum(one.height for one in self.chains.values())
                    self._progress(done, sum(self._heights.values()))
            with located(chain.channel, None):
                self._require_end(chain)
            self._whole[chain.chaincode.name] = chain
        self._checkpoints.require({chain.chaincode.name: chain.hashes for chain in self.chains.values()})

    def _require_end(self, chain: _Chain) -> None:
        """Check that no block and no private value is missing, and that the other peers have the same."""
        if chain.height != self._heights[chain.channel]:
            raise Broken(ViolationKind.NUMBER, f"of {self._heights[chain.channel]} blocks {chain.height} are there")
        for (collection, key_hash), (number, identity) in chain.missing.items():
            detail = f"the private value of key hash {key_hash} in {collection!r} is missing"
            with located(chain.channel, number, identity):
                raise Broken(ViolationKind.PRIVATE_DATA, detail)
        for name, data in self._source.others(chain.channel, chain.height - 1):
            try:
                header, commit_hash = blocks.decode_tip(data)
            except Undecodable as error:
                raise Broken(ViolationKind.FORK, f"the peer of {name} has no block, but {error}") from error
            number = header.number
            if number >= chain.height or header.hash != chain.hashes[number]:
                raise Broken(ViolationKind.FORK, f"the peer of {name} has another block {number}")
            if commit_hash != chain.commit_hashes[number]:
                detail = f"up to block {number} the peer of {name} committed something else"
                raise Broken(ViolationKind.COMMIT_HASH, detail)

    # Blocks

    def _check_block(self, chain: _Chain, data: bytes) -> None:
        try:
            block = blocks.decode_block(data)
        except Undecodable as error:
            raise Broken(ViolationKind.MALFORMED, f"not a block: {error}") from error
        _require_header(chain, block)
        if chain.configuration is None:
            configuration = self._read_genesis(chain, block)
        else:
            chain.configuration.require_signed(block)
            configuration = chain.configuration
        self._check_transactions(chain, configuration, block)
        if block.last_config != chain.last_config or block.stated_last_config != chain.last_config:
            detail = f"the last configuration is that of block {chain.last_config}, not {block.last_config}"
            raise Broken(ViolationKind.CONFIG, detail)
        self._require_commit(chain, block)
        chain.hashes.append(block.header.hash)
        chain.commit_hashes.append(block.commit_hash)
        chain.transactions += len(block.transactions)

    def _read_genesis(self, chain: _Chain, block: Block) -> Configuration:
        pinned = {name: expected for name, expected in self._genesis.items() if name == chain.channel}
        require_pinned(pinned, {chain.channel: block.header.hash.hex()})
        if block.signatures or len(block.transactions) != 1:
            raise Broken(ViolationKind.GENESIS, "the first block is no configuration alone")
        try:
            envelope = blocks.decode_envelope(block.transactions[0])
            if (envelope.kind, envelope.channel) != (CONFIG, chain.channel):
                raise Broken(ViolationKind.GENESIS, f"the first block is none of channel {chain.channel!r}")
            return Configuration.genesis(chain.channel, envelope)
        except Undecodable as error:
            raise Broken(ViolationKind.GENESIS, f"the first configuration cannot be read: {error}") from error

    def _require_commit(self, chain: _Chain, block: Block) -> None:
        if not chain.height:
            if block.commit_hash:
                raise Broken(ViolationKind.COMMIT_HASH, "the first block has a commit hash")
            return
        expected = chain.world.commit(block.codes, chain.commit_hashes[-1])
        if block.commit_hash != expected:
            raise Broken(
                ViolationKind.COMMIT_HASH,
                f"the peer committed {block.commit_hash.hex()}; the blocks give {expected.hex()}",
            )

    # Transactions

    def _check_transactions(self, chain: _Chain, configuration: Configuration, block: Block) -> None:
        """Check a block's transactions and their codes, and let the valid ones take effect."""
        if len(block.codes) != len(block.transactions):
            raise Broken(ViolationKind.CODE, f"{len(block.codes)} codes for {len(block.transactions)} transactions")
        rules = BlockRules(configuration=configuration, world=chain.world, ids=chain.ids)
        judged = rules.judge(block.transactions) if chain.height else [_judge_genesis(block)]
        chain.times.append([0 if one.envelope is None else one.envelope.time_utc for one in judged])
        private = _Private(block)
        for position, one in enumerate(judged):
            with located(chain.channel, chain.height, one.id):
                if one.verdict.code == VALID and one.call is not None:
                    one.verdict = rules.judge_reads(one.call)
                require_code(one.verdict, block.codes[position])
                if one.verdict.code == VALID:
                    self._check_effect(chain, configuration, position, one, private)
        chain.ids.update(one.id for one in judged if one.id is not None)
        private.require_all_written()

    def _check_effect(
        self,
        chain: _Chain,
        configuration: Configuration,
        position: int,
        judged: Judged,
        private: "_Private",
    ) -> None:
        """Check what a valid transaction did, and let it take effect."""
        envelope, call = judged.envelope, judged.call
        if envelope is None:
            raise RuntimeError("a valid transaction has an envelope")
        if call is None:
            chain.system += 1
            _change_configuration(chain, envelope, is_alone=len(chain.times[-1]) == 1)
            return
        creator = configuration.members.require(envelope.creator)
        if not creator.was_valid_at(envelope.time_utc):
            detail = f"the submitter's certificate was not valid at {envelope.time_utc}"
            raise Broken(ViolationKind.CERTIFICATE, detail)
        _require_time(chain, envelope, call)
        came = _take_private(chain, position, call, private)
        version = (chain.height, position)
        state = chain.world.state(chain.chaincode.name)
        own = call.effect(chain.chaincode.name)
        if call.chaincode == chain.chaincode.name:
            self._repeat(chain, configuration, envelope, call, came)
        elif own.has_writes:
            raise Broken(ViolationKind.EXECUTION, f"{call.chaincode!r} writes what only the contract may write")
        else:
            chain.system += 1
        before = state.values(own.writes)
        chain.world.apply(version, call)
        chain.keep_private(own, came, envelope.id)
        if chain.laws is not None and call.chaincode == chain.chaincode.name:
            chain.laws.check(own.writes, before=before, argument=call.arguments[1])
        if call.chaincode == chain.chaincode.name == contract.CONTRACT.name:
            self._checkpoints.follow(version, envelope.id, own.writes)

    def _repeat(
        self,
        chain: _Chain,
        configuration: Configuration,
        envelope: Envelope,
        call: Called,
        came: Mapping[Place, bytes],
    ) -> None:
        """Run the contract again and compare; `came` are the private values that it wrote.

        Raises:
            Broken: execution.
        """
        own = call.effect(chain.chaincode.name)
        creator = configuration.members.read(envelope.creator)
        try:
            names = acting(creator.msp_id, creator.attributes, self._organisations)
            submitter = Submitter(msp_id=names[0] if len(names) == 1 else _NOBODY, attributes=creator.attributes)
        except NotMember as error:
            raise Broken(ViolationKind.CERTIFICATE, f"the submitter: {error}") from error
        if len(call.arguments) != 2:  # noqa: PLR2004 -- a function and one JSON object
            raise Broken(ViolationKind.EXECUTION, f"a call with {len(call.arguments)} arguments")
        others = {name: (other.height, other.world.state(name), other.chaincode) for name, other in self._whole.items()}
        execution = Execution(
            transaction_id=envelope.id,
            time_utc=envelope.time_utc,
            submitter=submitter,
            transient=_Transient(chain, own, came),
            channel=chain.chaincode.name,
            view=chain.world.state(chain.chaincode.name),
            private_value=lambda name, place, _: self._whole.get(name, chain).private_now(place),
            others=others,
        )
        try:
            result = execution.run(chain.chaincode, call.arguments[0].decode(errors="replace"), call.arguments[1])
        except Purged:
            chain.unrepeatable += 1
            return
        except Unprotected as error:
            if own.has_writes:
                detail = f"run again, the contract asks for {error}, and writes"
                raise Broken(ViolationKind.EXECUTION, detail) from error
            chain.unrepeatable += 1
            return
        # Where the rules take a key's own policy away, the door to Fabric writes the chaincode's.
        policies = {
            key: in_the_networks_words(one or chain.chaincode.policy, self._organisations)
            for key, one in execution.policies.items()
        }
        different = _difference(call, own, execution, result, policies)
        if different is not None:
            raise Broken(ViolationKind.EXECUTION, f"run again, the contract {different}")


class _Private:
    """The private write sets that came with a block, taken one by one."""

    def __init__(self, block: Block) -> None:
        self._left = dict(block.private)

    def take(self, position: int, namespace: str, collection: str) -> dict[str, bytes | None]:
        data = self._left.pop((position, namespace, collection), b"")
        try:
            return blocks.decode_private_writes(data)
        except Undecodable as error:
            raise Broken(ViolationKind.PRIVATE_DATA, f"private data of {collection!r}: {error}") from error

    def require_all_written(self) -> None:
        for position, namespace, collection in self._left:
            detail = f"private data of {namespace!r} {collection!r} came for transaction {position}, which wrote none"
            raise Broken(ViolationKind.PRIVATE_DATA, detail)


class _Transient(Mapping[str, bytes]):
    """The transient data of a transaction, found again by name in the private data that it or an earlier one wrote.

    Args:
        chain: behind the transactions before.
        own: what the transaction wrote.
        came: the private values of that.
    """

    def __init__(self, chain: _Chain, own: Effect, came: Mapping[Place, bytes]) -> None:
        self._chain = chain
        self._own = own
        self._came = came

    def __getitem__(self, name: str) -> bytes:
        key_hash = hash_key(name)
        for collection in self._own.collections:
            if collection.writes.get(key_hash) is not None:
                value = self._came.get((collection.name, key_hash))
                if value is None:
                    raise Purged
                return value
        for known in self._chain.world.state(self._chain.chaincode.name).collections:
            if (known, key_hash) in self._chain.private:
                return self._chain.private[known, key_hash]
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        raise Unprotected("the names of its transient data")

    def __len__(self) -> int:
        raise Unprotected("the number of its transient data")


def _take_private(chain: _Chain, position: int, call: Called, private: _Private) -> dict[Place, bytes]:
    """Check the private values that came with a transaction, and return those of the contract."""
    came: dict[Place, bytes] = {}
    for effect in call.effects:
        for collection in effect.collections:
            for key, value in private.take(position, effect.namespace, collection.name).items():
                key_hash = hash_key(key)
                if (None if value is None else sha256(value).hexdigest()) != collection.writes.get(key_hash, ...):
                    detail = f"the private value {key!r} is not the one whose hash is written"
                    raise Broken(ViolationKind.PRIVATE_DATA, detail)
                if value is not None and effect.namespace == chain.chaincode.name:
                    came[collection.name, key_hash] = value
    return came


def _new_chain(channel: str, chaincode: Chaincode) -> _Chain:
    chain = _Chain(channel=channel, chaincode=chaincode)
    if chaincode.name == ledger.LEDGER.name:
        chain.laws = Laws(chain.world.state(chaincode.name), chain.private_now)
    return chain


def _change_configuration(chain: _Chain, envelope: Envelope, *, is_alone: bool) -> None:
    if not is_alone:
        raise Broken(ViolationKind.CONFIG, "a configuration is not alone in its block")
    try:
        if chain.configuration is None:
            chain.configuration = Configuration.genesis(chain.channel, envelope)
        else:
            chain.configuration = chain.configuration.updated(envelope)
    except Undecodable as error:
        raise Broken(ViolationKind.CONFIG, f"the configuration cannot be read: {error}") from error
    chain.last_config = chain.height


def _require_header(chain: _Chain, block: Block) -> None:
    header = block.header
    if header.number != chain.height:
        raise Broken(ViolationKind.NUMBER, f"the block has the number {header.number}")
    previous = chain.hashes[-1] if chain.hashes else b""
    if header.previous_hash != previous:
        raise Broken(
            ViolationKind.PREVIOUS_HASH,
            f"the block before is given as {header.previous_hash.hex()}; {previous.hex()} was expected",
        )
    data_hash = sha256(b"".join(block.transactions)).digest()
    if header.data_hash != data_hash:
        raise Broken(
            ViolationKind.DATA_HASH,
            f"the hash of the transactions is {data_hash.hex()}; {header.data_hash.hex()} is on the block",
        )


def _require_time(chain: _Chain, envelope: Envelope, call: Called) -> None:
    """Check that a valid call was not proposed before what it read.

    As for the embedded ledger; no block says how wide the peers' window is, so it is taken to be Fabric's default.
    """
    for number, position in _versions_read(call):
        read_utc = chain.times[number][position]
        if envelope.time_utc < read_utc - 2 * TIME_WINDOW_S:
            detail = f"proposed at {envelope.time_utc}, though it read what was proposed at {read_utc}"
            raise Broken(ViolationKind.TIME, detail)


def _versions_read(call: Called) -> Iterator[Version]:
    for effect in call.effects:
        found = [*effect.reads.values()]
        for collection in effect.collections:
            found += collection.reads.values()
        for one in effect.ranges:
            found += [version for _, version in one.reads or ()]
        yield from (version for version in found if version is not None)


def _difference(
    call: Called, own: Effect, execution: Execution, result: bytes, policies: Mapping[str, Policy]
) -> str | None:
    """Say in a clause in what a run, which set `policies`, differs from what is on the block, None if in nothing."""
    try:
        stated = {key: to_rules(policy) for key, policy in own.policies.items()}
    except Undecodable as error:
        return f"cannot have set {error}"
    private = {(one.collection, one.key_hash): one.value_hash for one in own.private_writes}
    compared: Sequence[tuple[str, Mapping[Any, Any], Mapping[Any, Any]]] = (
        ("writes", own.writes, execution.writes),
        ("policies", stated, policies),
        ("private writes", private, execution.private_writes),
        ("reads", own.reads, execution.reads),
        ("private reads", _private_reads(own), execution.private_reads),
    )
    for name, recorded, repeated in compared:
        if recorded != repeated:
            keys = sorted({*recorded, *repeated})
            key = next(key for key in keys if recorded.get(key, ...) != repeated.get(key, ...))
            return f"gives other {name}: {key!r} differs"
    elsewhere = any(effect.has_writes for effect in call.effects if effect.namespace != own.namespace)
    if elsewhere or any(one.policies for one in own.collections):
        return "writes less"
    return _range_difference(own, execution) or _answer_difference(call, execution, result)


def _range_difference(own: Effect, execution: Execution) -> str | None:
    """Say which range was not read as it is on the block; a peer may read on where a contract stopped."""
    starts = {start for start, _, _ in execution.ranges}
    other = {one.start for one in own.ranges} - starts
    for start, end, _ in execution.ranges:
        if not any(ranges.covers(one, start, end) for one in own.ranges):
            other.add(start)
    return f"reads other ranges: that from {min(other)!r} differs" if other else None


def _answer_difference(call: Called, execution: Execution, result: bytes) -> str | None:
    if (call.status, call.result) != (_OK, result):
        return f"answers {str(result)[:80]} instead of {call.status} {str(call.result)[:80]}"
    if call.event != execution.event:
        return f"emits {execution.event} instead of {call.event}"
    return None


def _private_reads(own: Effect) -> dict[Place, Version | None]:
    return {(one.name, key_hash): version for one in own.collections for key_hash, version in one.reads.items()}


def _judge_genesis(block: Block) -> Judged:
    """Take the first transaction as it is; nobody signed it."""
    return Judged(blocks.decode_envelope(block.transactions[0]), None, Verdict(VALID))
