"""The embedded ledger: a community's chains in one directory, written by one process, with Fabric's behaviour.

A call is *proposed* by an organisation's client, *endorsed* (the contract runs once, and each organisation that the
policies ask for signs what it gave), *ordered* (queued) and *committed* (checked, and made durable with its effects).
Orderers, gossip and channel configuration are not imitated.
"""

import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import IO, Self

from cryptography import x509

from wattpool.ledgers import block, directory, policies
from wattpool.ledgers.block import Block, Endorsement, Genesis, Installed, Malformed, Proposal, Response, Transaction
from wattpool.ledgers.certificates import Authority, CertificateRefused, Identity, Member, Role, read_member
from wattpool.ledgers.committer import Committer, Endorsed, Ordered
from wattpool.ledgers.port import (
    Call,
    Checkpoint,
    Commit,
    EndorseError,
    EndorseReason,
    Event,
    ForeignLedger,
    LedgerDamaged,
    LedgerError,
    Tip,
)
from wattpool.ledgers.signatures import OwnSignatures
from wattpool.ledgers.simulator import MAX_MESSAGE_BYTES, Run, Simulation
from wattpool.ledgers.store import Store
from wattpool.ledgers.validation import applying_policies
from wattpool_chaincode.chaincode import Chaincode
from wattpool_chaincode.context import Submitter
from wattpool_chaincode.organisations import ORGANISATIONS
from wattpool_chaincode.refusal import Refused

# A proposal's time may differ that much from the endorsers' clocks (core.yaml peer.authentication.timewindow).
TIME_WINDOW_S = 15 * 60
# As many as the performance tests of Fabric 2.5 put into a block.
BLOCK_TRANSACTIONS = 500
_NO_ATTRIBUTES: Mapping[str, str] = MappingProxyType({})
_NONCE_BYTES = 24


def _system_clock() -> int:
    return int(time.time())


class EmbeddedLedger:
    """A `wattpool.ledgers.port.Ledger` in a directory: made by `create`, `open` or `read`, shared by any threads.

    Attributes:
        genesis: community, roots of trust and policies.
    """

    def __init__(
        self, path: Path, genesis: Genesis, *, chaincodes: Mapping[str, Chaincode], clock: Callable[[], int]
    ) -> None:
        self.genesis = genesis
        self._path = path
        self._chaincodes = chaincodes
        self._clock = clock
        self._idle_readers: deque[Store] = deque()
        self._roots = {
            msp_id: x509.load_pem_x509_certificate(pem.encode()) for msp_id, pem in genesis.organisations.items()
        }
        self._members: dict[str, Member] = {}
        self._clients = {msp_id: directory.load_client(path, msp_id, root) for msp_id, root in self._roots.items()}
        self._identities: dict[tuple[str, Role], Identity] = {}
        self._signatures = OwnSignatures()
        self._committer: Committer | None = None
        self._lock: IO[bytes] | None = None

    # Opening and closing

    @classmethod
    def create(  # noqa: PLR0913 -- what a ledger is made of
        cls,
        path: Path,
        *,
        community: str,
        chaincodes: Mapping[str, Chaincode],
        organisations: Sequence[str] = ORGANISATIONS,
        client_attributes: Mapping[str, str] = _NO_ATTRIBUTES,
        clock: Callable[[], int] = _system_clock,
        block_transactions: int = BLOCK_TRANSACTIONS,
        batch_timeout_s: float = 0.0,
    ) -> Self:
        """Make a ledger for `community` in a directory that is empty or not there yet, and open it.

        Args:
            path: the directory; it appears whole or not at all.
            community: the community's name, in the genesis.
            chaincodes: by channel.
            organisations: MSP ids; each gets an authority, a client and a peer.
            client_attributes: what the certificates of these clients state, for the contracts to read.
            clock: the time in seconds since 1970, the clients' as well as the endorsers'.
            block_transactions: the most that one block holds.
            batch_timeout_s: how long who waits for a commit lingers for others to join.

        Raises:
            ForeignLedger: if there is something in the directory already.
        """
        directory.create(
            path,
            community=community,
            chaincodes=_installed(chaincodes),
            organisations=organisations,
            client_attributes=client_attributes,
            now_utc=clock(),
        )
        return cls.open(
            path,
            chaincodes=chaincodes,
            clock=clock,
            block_transactions=block_transactions,
            batch_timeout_s=batch_timeout_s,
        )

    @classmethod
    def open(  # noqa: PLR0913 -- the same
        cls,
        path: Path,
        *,
        chaincodes: Mapping[str, Chaincode],
        community: str | None = None,
        clock: Callable[[], int] = _system_clock,
        block_transactions: int = BLOCK_TRANSACTIONS,
        batch_timeout_s: float = 0.0,
    ) -> Self:
        """Open a ledger as its one writer; arguments as for `create`, `community` to be sure of it.

        Raises:
            ForeignLedger: if it is no ledger, not `community`'s, of another format or with other chaincodes.
            LedgerLocked: if it is open for writing already.
            LedgerDamaged: if it cannot be read, or contradicts itself at the tip of a chain.
        """
        genesis = directory.read_genesis(path)
        if community is not None and genesis.community != community:
            raise ForeignLedger(f"{path} is the ledger of {genesis.community!r}, not of {community!r}")
        if genesis.chaincodes != _installed(chaincodes):
            raise ForeignLedger(f"{path} has other channels, chaincodes or policies than this program")
        ledger = cls(path, genesis, chaincodes=chaincodes, clock=clock)
        ledger._lock = directory.lock(path)
        try:
            ledger._become_writer(block_transactions=block_transactions, batch_timeout_s=batch_timeout_s)
            ledger._check_tips()
        except BaseException:
            ledger.close()
            raise
        return ledger

    @classmethod
    def read(
        cls,
        path: Path,
        *,
        chaincodes: Mapping[str, Chaincode] | None = None,
        clock: Callable[[], int] = _system_clock,
    ) -> Self:
        """Open a ledger for reading, at any time; `chaincodes` are needed for `evaluate` alone.

        Raises:
            ForeignLedger: if it is no ledger or of another format.
            LedgerDamaged: if it cannot be read.
        """
        return cls(path, directory.read_genesis(path), chaincodes=chaincodes or {}, clock=clock)

    def close(self) -> None:
        """Close all files; what is queued and was not waited for is forgotten."""
        while self._idle_readers:
            self._idle_readers.pop().close()
        if self._committer is not None:
            self._committer.close()
        if self._lock is not None:
            self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # The port

    def submit(self, call: Call, *, by: str) -> Commit:
        return self.submit_async(call, by=by).wait()

    def submit_async(self, call: Call, *, by: str) -> Ordered:
        return self.order(self.endorse(call, by=by))

    def submit_together(self, calls: Sequence[Call], *, by: str) -> Sequence[Ordered]:
        return [self.submit_async(call, by=by) for call in calls]

    def evaluate(self, call: Call, *, by: str) -> bytes:
        proposal = self._propose(call, by=by, time_utc=self._clock())
        with self._snapshot() as store:
            _, result = self._run(call, proposal, by=by, store=store)
        return result

    def events(self, channel: str, *, after: Checkpoint | None = None) -> Iterator[Event]:
        with self._snapshot() as store:
            place = _place(channel, after, store)
        while True:
            # One snapshot per event: a slow reader must not hold up the checkpoints of the write-ahead log.
            with self._snapshot() as store:
                found = store.next_event(channel, place)
                if found is None:
                    return
                place, transaction = found[0], Transaction.decode(found[1])
            if transaction.response.event is not None:
                yield Event(
                    channel=channel,
                    block=place[0],
                    transaction_id=transaction.id,
                    name=transaction.response.event.name,
                    payload=transaction.response.event.payload,
                )

    def block(self, channel: str, number: int) -> Block:
        with self._snapshot() as store:
            header = store.header(channel, number)
            if header is None:
                if 0 <= number < store.height(channel):
                    raise LedgerDamaged(f"block {number} of channel {channel!r} is missing")
                raise LedgerError(f"channel {channel!r} has no block {number}")
            return Block.decode(block.join_block(header, store.bodies(channel, number)))

    def transaction(self, channel: str, transaction_id: str) -> Transaction:
        with self._snapshot() as store:
            version = store.find(channel, transaction_id)
            if version is None:
                raise LedgerError(f"channel {channel!r} has no transaction {transaction_id}")
            return Transaction.decode(store.transaction(channel, version))

    def height(self, channel: str) -> int:
        with self._snapshot() as store:
            return store.height(channel)

    def block_hashes(self, channel: str, start: int, stop: int, *, by: str) -> Iterator[bytes]:  # noqa: ARG002 -- one file
        with self._snapshot() as store:
            for number in range(start, stop):
                header = store.header(channel, number)
                if header is None:
                    raise LedgerError(f"channel {channel!r} has no block {number}")
                yield sha256(header).digest()

    def tip(self, channel: str) -> Tip:
        with self._snapshot() as store:
            blocks, transactions = store.height(channel), store.transactions(channel)
        return Tip(blocks=blocks, transactions=transactions, tip_hash=self.block(channel, blocks - 1).hash)

    # The steps of a transaction, and what an embedded ledger shows besides

    def endorse(self, call: Call, *, by: str, time_utc: int | None = None) -> Endorsed:
        """Run `call` on the committed state and have it signed by the organisations that the policies ask for.

        Args:
            call: what to run.
            by: the MSP id of the submitting client.
            time_utc: the client's time; the ledger's own if None.

        Raises:
            EndorseError: if the contract or an endorser refuses.
        """
        now_utc = self._clock()
        proposal = self._propose(call, by=by, time_utc=now_utc if time_utc is None else time_utc)
        if abs(proposal.time_utc - now_utc) > TIME_WINDOW_S:
            raise EndorseError(
                EndorseReason.TIME_OUTSIDE_WINDOW,
                f"proposed at {proposal.time_utc}, more than {TIME_WINDOW_S} s from the endorsers' {now_utc}",
            )
        with self._snapshot() as store:
            simulation, result = self._run(call, proposal, by=by, store=store)
            response = simulation.response(proposal.hash, result)
            policy = self.genesis.chaincodes[call.channel].policy
            own_policies = store.policies(call.channel, response.written)
            asked = applying_policies(response, policy=policy, own_policies=own_policies)
        # One's own organisation first, as a Gateway does.
        available = (by, *(msp_id for msp_id in sorted(self._roots) if msp_id != by))
        endorsers = policies.choose(asked, available)
        if endorsers is None:
            raise EndorseError(
                EndorseReason.POLICY_NOT_SATISFIABLE, f"{', '.join(available)} do not meet all policies that apply"
            )
        transaction = self._sign(proposal, response, by=by, endorsers=endorsers)
        _check_size(len(transaction.data), "the transaction")
        return Endorsed(transaction=transaction, private=simulation.private)

    def order(self, endorsed: Endorsed) -> Ordered:
        """Queue a transaction; sending the same one again is safe, since it counts once."""
        if self._committer is None:
            raise LedgerError(f"the ledger in {self._path} is open for reading only")
        self._check_channel(endorsed.transaction.proposal.channel)
        return self._committer.order(endorsed)

    def state(self, channel: str) -> Iterator[tuple[str, bytes]]:
        """Yield all public keys and values of a channel, in key order, as of one moment."""
        with self._snapshot() as store:
            for key, value, _ in store.range(channel, "", ""):
                yield key, value

    def authority(self, msp_id: str) -> Authority:
        """Return the certificate authority of an organisation."""
        return directory.load_authority(self._path, msp_id)

    def member(self, fingerprint: str) -> Member | None:
        """Return the holder of a certificate by its fingerprint, or None if no root of this ledger stands behind it."""
        member = self._members.get(fingerprint)
        if member is None:
            with self._snapshot() as store:
                found = store.certificate(fingerprint)
            if found is None:
                return None
            msp_id, pem = found
            try:
                member = read_member(pem, msp_id=msp_id, root=self._roots[msp_id])
            except CertificateRefused:
                return None
            self._members[fingerprint] = member
        return member

    def _propose(self, call: Call, *, by: str, time_utc: int) -> Proposal:
        self._check_channel(call.channel)
        client = self._clients.get(by)
        if client is None:
            known = ", ".join(sorted(self._clients))
            raise EndorseError(EndorseReason.ORGANISATION_UNKNOWN, f"{by!r} is none of {known}")
        if not client.is_valid_at(time_utc):
            raise EndorseError(
                EndorseReason.CERTIFICATE_NOT_VALID, f"the certificate of {by}'s client is not valid at {time_utc}"
            )
        _check_size(len(call.argument) + sum(map(len, call.transient.values())), "argument and transient data")
        nonce = os.urandom(_NONCE_BYTES)
        return Proposal(
            channel=call.channel,
            chaincode=self.genesis.chaincodes[call.channel].name,
            function=call.function,
            argument=call.argument,
            creator=client.fingerprint,
            nonce=nonce,
            id=block.transaction_id(nonce, client.pem),
            time_utc=time_utc,
            transient={name: sha256(value).hexdigest() for name, value in call.transient.items()},
        )

    def _run(self, call: Call, proposal: Proposal, *, by: str, store: Store) -> tuple[Simulation, bytes]:
        run = Run(
            transaction_id=proposal.id,
            time_utc=proposal.time_utc,
            submitter=Submitter(msp_id=by, attributes=self._clients[by].attributes),
            transient=call.transient,
        )
        simulation = Simulation(call.channel, run, store=store, chaincodes=self._chaincodes)
        try:
            result = self._chaincodes[call.channel].invoke(simulation, call.function, call.argument)
        except Refused as refused:
            raise EndorseError(refused.reason.value, refused.detail) from refused
        return simulation, result

    def _sign(self, proposal: Proposal, response: Response, *, by: str, endorsers: Sequence[str]) -> Transaction:
        message = block.endorser_message(response)
        peers = [self._identity(msp_id, Role.PEER) for msp_id in endorsers]
        endorsements = tuple(
            Endorsement(endorser=peer.fingerprint, signature=self._signatures.sign(peer, message)) for peer in peers
        )
        client = self._identity(by, Role.CLIENT)
        signature = self._signatures.sign(client, block.submitter_message(response, endorsements))
        return Transaction(proposal=proposal, response=response, endorsements=endorsements, signature=signature)

    def _check_channel(self, channel: str) -> None:
        if channel not in self._chaincodes:
            known = ", ".join(sorted(self._chaincodes)) or "none, since the ledger was opened without chaincodes"
            raise EndorseError(EndorseReason.CHANNEL_UNKNOWN, f"{channel!r}; known are {known}")

    # People and files

    def _identity(self, msp_id: str, role: Role) -> Identity:
        identity = self._identities.get((msp_id, role))
        if identity is None:
            identity = self._identities[msp_id, role] = directory.load_identity(self._path, msp_id, role)
        return identity

    def _become_writer(self, *, block_transactions: int, batch_timeout_s: float) -> None:
        self._committer = Committer(
            Store(directory.database(self._path), read_only=False),
            self.genesis,
            member_of=self.member,
            is_signed=self._signatures.is_signed,
            block_transactions=block_transactions,
            batch_timeout_s=batch_timeout_s,
        )

    def _check_tips(self) -> None:
        """Look at the last block of each chain: a torn or exchanged file shows there, at a cost that does not grow."""
        for channel in self.genesis.chaincodes:
            number = self.height(channel) - 1
            if number < 0:
                continue
            tip = self.block(channel, number)
            previous = self.block(channel, number - 1).hash if number else self.genesis.hash
            data = block.data_hash([transaction.data for transaction in tip.transactions])
            if (tip.previous_hash, tip.data_hash) != (previous, data):
                raise LedgerDamaged(f"block {number} of channel {channel!r} does not continue its chain")

    @contextmanager
    def _snapshot(self) -> Iterator[Store]:
        """Give a connection that sees one committed state; there are as many as are in use at once."""
        try:
            store = self._idle_reader()
            store.begin_reading()
            try:
                yield store
            finally:
                store.end()
                self._idle_readers.append(store)
        except (sqlite3.DatabaseError, Malformed) as error:
            raise LedgerDamaged(f"the ledger in {self._path} cannot be read: {error}") from error

    def _idle_reader(self) -> Store:
        try:
            return self._idle_readers.pop()
        except IndexError:
            return Store(directory.database(self._path), read_only=True)


def _installed(chaincodes: Mapping[str, Chaincode]) -> dict[str, Installed]:
    return {
        channel: Installed(name=chaincode.name, policy=chaincode.policy) for channel, chaincode in chaincodes.items()
    }


def _place(channel: str, after: Checkpoint | None, store: Store) -> block.Version:
    """Return the place behind which events are wanted: a transaction that is not there counts for nothing."""
    if after is None:
        return (-1, 0)
    found = None if after.transaction_id is None else store.find(channel, after.transaction_id)
    return (after.block, -1) if found is None else found


def _check_size(size_bytes: int, what: str) -> None:
    if size_bytes > MAX_MESSAGE_BYTES:
        raise EndorseError(EndorseReason.TOO_LARGE, f"{what}: {size_bytes} bytes, at most {MAX_MESSAGE_BYTES}")
