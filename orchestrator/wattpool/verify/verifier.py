"""The check itself: both chains from their genesis, block by block, every contract run again, then the tables.

Blocks are checked in the order of the channels' names, except that a transaction which queried another channel is
checked behind the blocks that it could see there.
"""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography import x509

from wattpool.ledgers import block
from wattpool.ledgers.block import FORMAT_VERSION, Code, Genesis, Installed, Malformed, Response, Transaction, Version
from wattpool.ledgers.certificates import CertificateRefused, Member, read_member
from wattpool.verify.checkpoints import Checkpoints
from wattpool.verify.execution import Execution, Misused, Purged, Transient, Unprotected, difference, hash_key
from wattpool.verify.export import read_export
from wattpool.verify.file import LedgerFile, TransactionRow
from wattpool.verify.laws import Laws
from wattpool.verify.report import (
    Broken,
    ChannelReport,
    Progress,
    Report,
    Violated,
    Violation,
    ViolationKind,
    located,
    require_pinned,
    require_tips,
)
from wattpool.verify.state import Place, State, StateAt, View
from wattpool.verify.tables import require_tables
from wattpool.verify.validation import TIME_WINDOW_S, BlockRules, versions_read
from wattpool_chaincode import contract, ledger
from wattpool_chaincode.chaincode import Chaincode
from wattpool_chaincode.chaincodes import CHAINCODES
from wattpool_chaincode.context import Policy, Submitter
from wattpool_chaincode.records import codec


def verify(
    place: Path,
    *,
    chaincodes: Mapping[str, Chaincode] = CHAINCODES,
    genesis: Mapping[str, str] | None = None,
    tips: Mapping[str, tuple[int, str]] | None = None,
    progress: Progress | None = None,
) -> Report:
    """Check a ledger, which may be open for writing, as it is now, or an export of one.

    Args:
        place: directory of an embedded ledger, where nothing is written, or file of an export.
        chaincodes: by channel; the laws of tokens and energy are those of Wattpool's own, and hold for these alone.
        genesis: by channel, the hash that it must start from; all channels of a ledger start from one genesis.
        tips: by channel, the number of blocks that it must have, and the hash of the last of them; it may have more.
        progress: told how many transactions are checked, of how many, after every one.

    Returns:
        What holds, and the first violation.

    Raises:
        ForeignLedger: if there is no ledger in the directory, or the file cannot be read.
    """
    try:
        file = read_export(place) if place.is_file() else LedgerFile.open(place)
    except Broken as error:
        return Report(channels={}, violation=Violation(what=error.what, detail=error.detail))
    verifier = _Verifier(file, chaincodes, genesis or {}, progress)
    violation = None
    try:
        verifier.run()
        require_tips(tips or {}, verifier.hashes)
    except Violated as error:
        violation = error.violation
    except Broken as error:
        violation = Violation(what=error.what, detail=error.detail)
    except sqlite3.DatabaseError as error:
        violation = Violation(what=ViolationKind.FILE, detail=f"the database cannot be read: {error}")
    finally:
        file.close()
    return Report(channels={name: chain.report() for name, chain in verifier.chains.items()}, violation=violation)


@dataclass(kw_only=True)
class _Chain:
    """A channel as far as it is checked.

    Attributes:
        channel: its name.
        installed: name and policy of its chaincode, as the genesis has them.
        chaincode: its contract.
        genesis_hash: of the genesis.
        laws: those of the ledger chain.
        hashes: of all blocks.
        ids: of all transactions.
        times: of the proposals, by block and position.
    """

    channel: str
    installed: Installed
    chaincode: Chaincode
    genesis_hash: str
    state: State[Policy]
    laws: Laws | None
    hashes: list[bytes] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    times: list[list[int]] = field(default_factory=list)
    transactions: int = 0
    unrepeatable: int = 0
    is_busy: bool = False

    @property
    def height(self) -> int:
        return len(self.hashes)

    @property
    def tip_hash(self) -> str:
        """The hash of the last block, or of the genesis."""
        return self.hashes[-1].hex() if self.hashes else self.genesis_hash

    def report(self) -> ChannelReport:
        return ChannelReport(
            blocks=self.height,
            transactions=self.transactions,
            unrepeatable=self.unrepeatable,
            system=0,
            genesis_hash=self.genesis_hash,
            tip_hash=self.tip_hash if self.height else None,
        )


@dataclass(frozen=True, kw_only=True)
class _Header:
    """A block without its transactions."""

    data: bytes
    number: int
    previous_hash: str
    data_hash: str
    codes: tuple[Code, ...]


class _Verifier:
    def __init__(
        self,
        file: LedgerFile,
        chaincodes: Mapping[str, Chaincode],
        pinned: Mapping[str, str],
        progress: Progress | None,
    ) -> None:
        self.chains: dict[str, _Chain] = {}
        self._file = file
        self._chaincodes = chaincodes
        self._pinned = pinned
        self._progress = progress
        self._members: dict[str, Member] = {}
        self._heights: dict[str, int] = {}
        self._total = 0
        self._done = 0
        self._purges: dict[str, dict[Place, Version]] = {}
        self._checkpoints = Checkpoints()

    @property
    def hashes(self) -> dict[str, list[bytes]]:
        """By channel, the hashes of the blocks that hold."""
        return {channel: chain.hashes for channel, chain in self.chains.items()}

    def run(self) -> None:
        """Check everything.

        Raises:
            Broken: what concerns the whole ledger.
            Violated: what is wrong in a block or in a table.
        """
        self._file.require_intact()
        genesis = self._read_genesis()
        self._members = _read_members(self._file, genesis)
        self._heights = self._file.heights()
        self._total = self._file.transaction_count()
        for channel in self._heights:
            if channel not in genesis.chaincodes:
                raise Broken(ViolationKind.GENESIS, f"there is a channel {channel!r}, which the genesis does not name")
        for channel, installed in sorted(genesis.chaincodes.items()):
            self.chains[channel] = self._new_chain(channel, installed, genesis)
        for channel, chain in self.chains.items():
            self._advance(chain, self._heights.get(channel, 0))
        self._checkpoints.require(self.hashes)
        require_tables(self._file, {channel: chain.state for channel, chain in self.chains.items()})

    def _read_genesis(self) -> Genesis:
        data = self._file.genesis()
        if data is None:
            raise Broken(ViolationKind.GENESIS, "there is no genesis")
        try:
            genesis = Genesis.decode(data)
        except Malformed as error:
            raise Broken(ViolationKind.GENESIS, str(error)) from error
        if genesis.version != FORMAT_VERSION:
            raise Broken(ViolationKind.GENESIS, f"the format is {genesis.version}; {FORMAT_VERSION} was expected")
        expected = {name: Installed(name=one.name, policy=one.policy) for name, one in self._chaincodes.items()}
        if genesis.chaincodes != expected:
            raise Broken(ViolationKind.GENESIS, "channels, chaincodes or policies are not those of this program")
        require_pinned(self._pinned, dict.fromkeys(genesis.chaincodes, genesis.hash))
        return genesis

    def _new_chain(self, channel: str, installed: Installed, genesis: Genesis) -> _Chain:
        state = State[Policy]()
        chaincode = self._chaincodes[channel]

        def private(place: Place) -> bytes:
            hashed = state.private(place)
            if hashed is None:
                raise LookupError(place)
            return self._private_value(channel, place, hashed.version)

        is_ledger = (channel, installed.name) == (ledger.CHANNEL, ledger.LEDGER.name)
        return _Chain(
            channel=channel,
            installed=installed,
            chaincode=chaincode,
            genesis_hash=genesis.hash,
            state=state,
            laws=Laws(state, private) if is_ledger else None,
        )

    # Blocks

    def _advance(self, chain: _Chain, height: int) -> None:
        """Check the blocks of `chain` up to `height`."""
        chain.is_busy = True
        while chain.height < height:
            with located(chain.channel, chain.height):
                self._check_block(chain)
        chain.is_busy = False

    def _check_block(self, chain: _Chain) -> None:
        header = self._read_header(chain)
        rows = self._file.transactions(chain.channel, chain.height)
        if header.previous_hash != chain.tip_hash:
            raise Broken(
                ViolationKind.PREVIOUS_HASH,
                f"the block before is given as {header.previous_hash}; {chain.tip_hash} was expected",
            )
        data_hash = block.data_hash([row.data for row in rows])
        if header.data_hash != data_hash:
            raise Broken(
                ViolationKind.DATA_HASH,
                f"the hash of the transactions is {data_hash}; {header.data_hash} is on the block",
            )
        if len(header.codes) != len(rows):
            raise Broken(ViolationKind.CODE, f"{len(header.codes)} codes for {len(rows)} transactions")
        rules = BlockRules(chaincode=chain.installed, state=chain.state, members=self._members, ids=chain.ids)
        chain.times.append([])
        for position, (row, code) in enumerate(zip(rows, header.codes, strict=True)):
            with located(chain.channel, chain.height, row.id):
                self._check_transaction(chain, rules, position, row, code)
            self._done += 1
            if self._progress is not None:
                self._progress(self._done, self._total)
        chain.transactions += len(rows)
        chain.hashes.append(sha256(header.data).digest())

    def _read_header(self, chain: _Chain) -> _Header:
        data = self._file.header(chain.channel, chain.height)
        if data is None:
            raise Broken(ViolationKind.NUMBER, "the block is missing")
        header = _decode_header(data, chain.channel)
        if header.number != chain.height:
            raise Broken(ViolationKind.NUMBER, f"the block has the number {header.number}")
        return header

    # Transactions

    def _check_transaction(
        self, chain: _Chain, rules: BlockRules, position: int, row: TransactionRow, code: Code
    ) -> None:
        transaction = _decode(row.data)
        is_event = code is Code.VALID and transaction.response.event is not None
        stated = TransactionRow(position, transaction.id, code.value, is_event, row.data)
        if row != stated:
            raise Broken(ViolationKind.INDEX, f"{row[:4]} stands beside the transaction; {stated[:4]} was expected")
        if transaction.proposal.channel != chain.channel:
            raise Broken(ViolationKind.TRANSACTION_ID, f"it was proposed for channel {transaction.proposal.channel!r}")
        rules.require_code(transaction, code)
        chain.times[-1].append(transaction.proposal.time_utc)
        if code is Code.VALID:
            self._check_effect(chain, (chain.height, position), transaction)

    def _check_effect(self, chain: _Chain, version: Version, transaction: Transaction) -> None:
        """Check what a valid transaction did, and let it take effect."""
        response = transaction.response
        _require_time(chain, transaction)
        self._require_private_data(chain.channel, version, response)
        try:
            different = difference(response, self._repeat(chain, version, transaction))
        except Purged:
            chain.unrepeatable += 1
        except Unprotected as error:
            if response.written or response.private_writes:
                raise Broken(
                    ViolationKind.EXECUTION, f"run again, the contract asks for {error}, and writes"
                ) from error
            chain.unrepeatable += 1
        else:
            if different is not None:
                raise Broken(ViolationKind.EXECUTION, different)
        before = chain.state.values(response.writes)
        chain.state.apply(version, response)
        if chain.laws is not None:
            chain.laws.check(response.writes, before=before, argument=transaction.proposal.argument)
        if (chain.channel, chain.installed.name) == (contract.CHANNEL, contract.CONTRACT.name):
            self._checkpoints.follow(version, transaction.id, response.writes)

    def _repeat(self, chain: _Chain, version: Version, transaction: Transaction) -> Response:
        """Run the contract again.

        Raises:
            Broken: execution, number.
            Purged: if what it needs is gone.
            Unprotected: if its answer proves nothing.
        """
        proposal = transaction.proposal
        creator = self._members[proposal.creator]
        execution = Execution(
            transaction_id=proposal.id,
            time_utc=proposal.time_utc,
            submitter=Submitter(msp_id=creator.msp_id, attributes=creator.attributes),
            transient=self._transient(chain, version, transaction),
            channel=chain.channel,
            view=chain.state,
            private_value=self._private_value,
            others={name: self._other(chain, name, height) for name, height in transaction.response.heights.items()},
        )
        result = execution.run(chain.chaincode, proposal.function, proposal.argument)
        return execution.response(proposal.hash, result)

    def _other(self, chain: _Chain, channel: str, height: int) -> tuple[int, View[Policy], Chaincode]:
        """Return what a transaction of `chain` could see of another channel when that had `height` blocks."""
        other = self.chains.get(channel)
        if other is None or other is chain:
            raise Broken(ViolationKind.EXECUTION, f"it records a query of channel {channel!r}")
        if height > self._heights.get(channel, 0):
            raise Broken(
                ViolationKind.NUMBER,
                f"it saw {height} blocks of channel {channel!r}, which has {self._heights.get(channel, 0)}",
            )
        if other.height < height:
            if other.is_busy:
                raise Broken(ViolationKind.EXECUTION, f"it saw block {height - 1} of channel {channel!r}, which saw it")
            self._advance(other, height)
        return (
            height,
            StateAt(other.state, height, written=lambda version: self._written(channel, version)),
            other.chaincode,
        )

    def _written(self, channel: str, version: Version) -> Response:
        return Transaction.decode(self._file.transaction(channel, version)).response

    # Private data

    def _transient(self, chain: _Chain, version: Version, transaction: Transaction) -> Transient:
        """Find transient data where contracts keep it by convention: under its name, in a private collection."""
        written = {(one.collection, one.key_hash): one.value_hash for one in transaction.response.private_writes}

        def find(name: str, value_hash: str) -> bytes:
            key_hash = hash_key(name)
            for collection in [*dict.fromkeys(collection for collection, _ in written), *chain.state.collections]:
                place = (collection, key_hash)
                if written.get(place) == value_hash:
                    return self._private_value(chain.channel, place, version)
                for past, past_hash in chain.state.private_past.get(place, []):
                    if past_hash == value_hash:
                        return self._private_value(chain.channel, place, past)
            raise Misused(f"the transient value {name!r} is kept nowhere")

        return Transient(transaction.proposal.transient, find)

    def _private_value(self, channel: str, place: Place, version: Version) -> bytes:
        row = self._file.private_value(channel, place, version)
        if row is None:
            raise Purged
        return row[1]

    def _require_private_data(self, channel: str, version: Version, response: Response) -> None:
        """Check that the private values of a transaction are kept, unless they are purged later."""
        for write in response.private_writes:
            if write.value_hash is None:
                continue
            place = (write.collection, write.key_hash)
            row = self._file.private_value(channel, place, version)
            if row is None:
                if self._file.has_openings and self._last_purge(channel, place) <= version:
                    raise Broken(
                        ViolationKind.PRIVATE_DATA, f"the private value of key hash {write.key_hash} is missing"
                    )
            elif tuple(sha256(one).hexdigest() for one in row) != (write.key_hash, write.value_hash):
                raise Broken(
                    ViolationKind.PRIVATE_DATA,
                    f"the private value {_readable(row[0])} is not the one whose hash is written",
                )

    def _last_purge(self, channel: str, place: Place) -> Version:
        """Return the version of the last purge of a private value, looked up in the blocks to come."""
        if channel not in self._purges:
            purges: dict[Place, Version] = {}
            for version, data in self._file.valid_transactions(channel):
                try:
                    writes = _decode(data).response.private_writes
                except Broken:
                    # Purges nothing, and is named when its turn comes.
                    continue
                purges |= {(one.collection, one.key_hash): version for one in writes if one.value_hash is None}
            self._purges[channel] = purges
        return self._purges[channel].get(place, (-1, 0))


def _read_members(file: LedgerFile, genesis: Genesis) -> dict[str, Member]:
    """Return all who may sign, by fingerprint of their certificates, each checked against its root."""
    roots: dict[str, x509.Certificate] = {}
    for msp_id, root_pem in genesis.organisations.items():
        try:
            roots[msp_id] = x509.load_pem_x509_certificate(root_pem.encode())
        except (ValueError, x509.InvalidVersion) as error:
            raise Broken(ViolationKind.GENESIS, f"the root certificate of {msp_id} cannot be read: {error}") from error
    members = {}
    for stated, msp_id, pem in file.certificates():
        if msp_id not in roots:
            raise Broken(
                ViolationKind.CERTIFICATE, f"certificate {stated} is of {msp_id!r}, which the genesis does not name"
            )
        try:
            member = read_member(pem, msp_id=msp_id, root=roots[msp_id])
        except CertificateRefused as error:
            raise Broken(ViolationKind.CERTIFICATE, f"certificate {stated}: {error}") from error
        if (member.fingerprint, member.pem) != (stated, pem):
            raise Broken(ViolationKind.CERTIFICATE, f"certificate {member.fingerprint} is kept as {stated}")
        members[stated] = member
    return members


def _decode_header(data: bytes, channel: str) -> _Header:
    try:
        value: Any = codec.decode(data)
        header = _Header(
            data=data,
            number=value["number"],
            previous_hash=value["previous_hash"],
            data_hash=value["data_hash"],
            codes=tuple(Code(code) for code in value["codes"]),
        )
        again = block.encode_header(
            channel=channel,
            number=header.number,
            previous_hash=header.previous_hash,
            data_hash=header.data_hash,
            codes=header.codes,
        )
    except (ValueError, LookupError, TypeError) as error:
        raise Broken(ViolationKind.MALFORMED, f"not the header of a block: {error}") from error
    if again != data:
        raise Broken(ViolationKind.MALFORMED, f"not the header of a block of channel {channel!r}")
    return header


def _decode(data: bytes) -> Transaction:
    try:
        return Transaction.decode(data)
    except Malformed as error:
        raise Broken(ViolationKind.MALFORMED, str(error)) from error


def _require_time(chain: _Chain, transaction: Transaction) -> None:
    """Check that a valid transaction was not proposed before what it read.

    Its time, and that of what it read, lie in the window around the endorsers' clocks, which do not go back.
    """
    time_utc = transaction.proposal.time_utc
    for number, position in versions_read(transaction.response):
        read_utc = chain.times[number][position]
        if time_utc < read_utc - 2 * TIME_WINDOW_S:
            raise Broken(ViolationKind.TIME, f"proposed at {time_utc}, though it read what was proposed at {read_utc}")


def _readable(data: bytes) -> str:
    return repr(data.decode(errors="replace"))
