"""A Fabric channel made in a test: its organisations' keys are here, for those who collude in a tampering."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID
from fabric_protos.common import common_pb2, configtx_pb2, configuration_pb2, policies_pb2
from fabric_protos.ledger.rwset import rwset_pb2
from fabric_protos.ledger.rwset.kvrwset import kv_rwset_pb2
from fabric_protos.msp import identities_pb2, msp_config_pb2, msp_principal_pb2
from fabric_protos.peer import (
    chaincode_event_pb2,
    chaincode_pb2,
    events_pb2,
    policy_pb2,
    proposal_pb2,
    proposal_response_pb2,
    transaction_pb2,
)
from fabric_protos.peer.lifecycle import chaincode_definition_pb2, db_pb2

from shim.certificates import TestAuthority, name
from wattpool.ledgers import fabric_blocks as blocks
from wattpool.ledgers.block import Version
from wattpool.verify.fabric.world import World
from wattpool_chaincode.records import codec, signing

COLLECTION = "meter_data"
# The certificates are valid around now.
NOW_UTC = int(time.time())
_ROLE = msp_principal_pb2.MSPRole


@dataclass(frozen=True)
class Member:
    """Someone who can sign."""

    serialized: bytes
    key: ec.EllipticCurvePrivateKey

    def sign(self, message: bytes) -> bytes:
        return signing.sign(self.key, message)


class Organisation:
    """An MSP with one member of each role."""

    def __init__(self, msp_id: str) -> None:
        self.msp_id = msp_id
        self.authority = TestAuthority(name((NameOID.COMMON_NAME, f"ca.{msp_id}")))
        self.client, self.peer, self.admin, self.orderer = map(self.member, ("client", "peer", "admin", "orderer"))

    def member(self, role: str) -> Member:
        subject = name((NameOID.ORGANIZATIONAL_UNIT_NAME, role), (NameOID.COMMON_NAME, role))
        issued = self.authority.issue(subject)
        key = load_pem_private_key(issued.private_key, None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(key)
        identity = identities_pb2.SerializedIdentity(mspid=self.msp_id, id_bytes=issued.certificate)
        return Member(identity.SerializeToString(), key)

    def without(self, member: Member) -> bytes:
        """Return the MSP once it has revoked a member."""
        return self._msp(crls=[self.authority.revoke(_certificate(member))])

    def group(self) -> configtx_pb2.ConfigGroup:
        group = configtx_pb2.ConfigGroup(mod_policy="Admins")
        group.values["MSP"].CopyFrom(configtx_pb2.ConfigValue(value=self._msp(), mod_policy="Admins"))
        roles = {"Admins": "ADMIN", "Writers": "MEMBER", "Endorsement": "PEER"}
        for policy, role in roles.items():
            _put(group, policy, policies_pb2.Policy.SIGNATURE, out_of(1, [(self.msp_id, role)]))
        return group

    def _msp(self, crls: Sequence[bytes] = ()) -> bytes:
        units = {
            f"{role}_ou_identifier": msp_config_pb2.FabricOUIdentifier(organizational_unit_identifier=role)
            for role in ("client", "peer", "admin", "orderer")
        }
        config = msp_config_pb2.FabricMSPConfig(
            name=self.msp_id,
            root_certs=[self.authority.certificate],
            revocation_list=crls,
            fabric_node_ous=msp_config_pb2.FabricNodeOUs(enable=True, **units),
        )
        return bytes(msp_config_pb2.MSPConfig(config=config.SerializeToString()).SerializeToString())


def out_of(required: int, signers: Sequence[tuple[str, str]]) -> bytes:
    """Return the signature policy that so many of the signers, each an MSP id and a role, must sign."""
    envelope = policies_pb2.SignaturePolicyEnvelope(
        rule=policies_pb2.SignaturePolicy(
            n_out_of=policies_pb2.SignaturePolicy.NOutOf(
                n=required, rules=[policies_pb2.SignaturePolicy(signed_by=index) for index in range(len(signers))]
            )
        ),
        identities=[
            msp_principal_pb2.MSPPrincipal(
                principal=_ROLE(msp_identifier=msp_id, role=_ROLE.MSPRoleType.Value(role)).SerializeToString()
            )
            for msp_id, role in signers
        ],
    )
    return bytes(envelope.SerializeToString())


def configuration(organisations: Iterable[Organisation], *, consenters: Sequence[Member] = ()) -> configtx_pb2.Config:
    """Return a channel's first configuration; with consenters, each of them has to sign each block."""
    root = configtx_pb2.ConfigGroup(mod_policy="Admins")
    for kind in ("Application", "Orderer"):
        group = root.groups[kind]
        group.mod_policy = "Admins"
        for one in organisations:
            group.groups[one.msp_id].CopyFrom(one.group())
        _put_meta(group, "Admins", "MAJORITY", "Admins")
    _put_meta(root.groups["Application"], "LifecycleEndorsement", "ALL", "Endorsement")
    _put_meta(root, "Admins", "MAJORITY", "Admins")
    orderers = root.groups["Orderer"]
    _put_meta(orderers, "BlockValidation", "ANY", "Writers")
    if consenters:
        _put(orderers, "BlockValidation", policies_pb2.Policy.SIGNATURE, _all_of(consenters))
        mapping = []
        for number, consenter in enumerate(consenters, start=1):
            identity = identities_pb2.SerializedIdentity.FromString(consenter.serialized)
            mapping.append(configuration_pb2.Consenter(id=number, msp_id=identity.mspid, identity=identity.id_bytes))
        value = configuration_pb2.Orderers(consenter_mapping=mapping).SerializeToString()
        orderers.values["Orderers"].CopyFrom(configtx_pb2.ConfigValue(value=value, mod_policy="Admins"))
    return configtx_pb2.Config(channel_group=root)


@dataclass(kw_only=True)
class Change:
    """What a call reads and writes in its chaincode's namespace; None deletes."""

    reads: Mapping[str, Version | None] = field(default_factory=dict)
    ranges: Sequence[kv_rwset_pb2.RangeQueryInfo] = ()
    writes: Mapping[str, bytes | None] = field(default_factory=dict)
    policies: Mapping[str, bytes] = field(default_factory=dict)
    private: Mapping[str, bytes] = field(default_factory=dict)

    def encode(self, namespace: str) -> rwset_pb2.NsReadWriteSet:
        public = kv_rwset_pb2.KVRWSet(
            reads=[kv_rwset_pb2.KVRead(key=key, version=_version(version)) for key, version in self.reads.items()],
            range_queries_info=self.ranges,
            writes=[
                kv_rwset_pb2.KVWrite(key=key, value=value, is_delete=value is None)
                for key, value in self.writes.items()
            ],
            metadata_writes=[
                kv_rwset_pb2.KVMetadataWrite(
                    key=key, entries=[kv_rwset_pb2.KVMetadataEntry(name=blocks.POLICY, value=policy)]
                )
                for key, policy in self.policies.items()
            ],
        )
        hashed = kv_rwset_pb2.HashedRWSet(
            hashed_writes=[
                kv_rwset_pb2.KVWriteHash(key_hash=sha256(key.encode()).digest(), value_hash=sha256(value).digest())
                for key, value in self.private.items()
            ]
        )
        collections = [
            rwset_pb2.CollectionHashedReadWriteSet(collection_name=COLLECTION, hashed_rwset=hashed.SerializeToString())
        ]
        return rwset_pb2.NsReadWriteSet(
            namespace=namespace,
            rwset=public.SerializeToString(),
            collection_hashed_rwset=collections if self.private else [],
        )

    def private_data(self, namespace: str) -> rwset_pb2.TxPvtReadWriteSet:
        writes = [kv_rwset_pb2.KVWrite(key=key, value=value) for key, value in self.private.items()]
        collection = rwset_pb2.CollectionPvtReadWriteSet(
            collection_name=COLLECTION, rwset=kv_rwset_pb2.KVRWSet(writes=writes).SerializeToString()
        )
        return rwset_pb2.TxPvtReadWriteSet(
            ns_pvt_rwset=[rwset_pb2.NsPvtReadWriteSet(namespace=namespace, collection_pvt_rwset=[collection])]
        )


def call(  # noqa: PLR0913 -- the parts of a transaction
    change: Change,
    argument: bytes,
    *,
    by: Member,
    endorsers: Sequence[Member],
    channel: str = "ledger",
    chaincode: str = "ledger",
    function: bytes = b"run",
    result: bytes = b"",
    event: tuple[str, bytes] | None = None,
    nonce: bytes = b"nonce",
    identity: str | None = None,
    time_utc: int = NOW_UTC,
    answered: bytes | None = None,
) -> bytes:
    """Return a signed and endorsed transaction; what is given as `identity` or `answered` stands in it, true or not."""
    header = common_pb2.ChannelHeader(
        type=common_pb2.ENDORSER_TRANSACTION,
        channel_id=channel,
        tx_id=identity or sha256(nonce + by.serialized).hexdigest(),
        extension=proposal_pb2.ChaincodeHeaderExtension(
            chaincode_id=chaincode_pb2.ChaincodeID(name=chaincode)
        ).SerializeToString(),
    )
    header.timestamp.FromSeconds(time_utc)
    signer = common_pb2.SignatureHeader(creator=by.serialized, nonce=nonce).SerializeToString()
    spec = chaincode_pb2.ChaincodeSpec(input=chaincode_pb2.ChaincodeInput(args=[function, argument]))
    proposal = proposal_pb2.ChaincodeProposalPayload(
        input=chaincode_pb2.ChaincodeInvocationSpec(chaincode_spec=spec).SerializeToString()
    ).SerializeToString()
    emitted = b""
    if event is not None:
        emitted = chaincode_event_pb2.ChaincodeEvent(
            chaincode_id=chaincode, tx_id=header.tx_id, event_name=event[0], payload=event[1]
        ).SerializeToString()
    action = proposal_pb2.ChaincodeAction(
        results=rwset_pb2.TxReadWriteSet(ns_rwset=[change.encode(chaincode)]).SerializeToString(),
        events=emitted,
        response=proposal_response_pb2.Response(status=200, payload=result),
        chaincode_id=chaincode_pb2.ChaincodeID(name=chaincode, version="1"),
    )
    response = proposal_response_pb2.ProposalResponsePayload(
        proposal_hash=answered or sha256(header.SerializeToString() + signer + proposal).digest(),
        extension=action.SerializeToString(),
    ).SerializeToString()
    endorsements = [
        proposal_response_pb2.Endorsement(endorser=one.serialized, signature=one.sign(response + one.serialized))
        for one in endorsers
    ]
    payload = transaction_pb2.ChaincodeActionPayload(
        chaincode_proposal_payload=proposal,
        action=transaction_pb2.ChaincodeEndorsedAction(proposal_response_payload=response, endorsements=endorsements),
    )
    transaction = transaction_pb2.Transaction(
        actions=[transaction_pb2.TransactionAction(header=signer, payload=payload.SerializeToString())]
    )
    return envelope(header, signer, transaction.SerializeToString(), by)


def definition(endorsers: Sequence[Member], policy: bytes, *, by: Member, chaincode: str = "ledger") -> bytes:
    """Return the call that defines a chaincode under a signature policy."""
    application = policy_pb2.ApplicationPolicy(
        signature_policy=policies_pb2.SignaturePolicyEnvelope.FromString(policy)
    ).SerializeToString()
    info = chaincode_definition_pb2.ChaincodeValidationInfo(
        validation_plugin="vscc", validation_parameter=application
    ).SerializeToString()
    # field 1 of the package is a collection, whose field 1 is a static one, whose field 1 is its name.
    named = b"\x0a" + bytes((len(COLLECTION),)) + COLLECTION.encode()
    package = b"\x0a" + bytes((len(named) + 2,)) + b"\x0a" + bytes((len(named),)) + named
    fields = {"ValidationInfo": info, "Collections": package}
    writes = {
        f"namespaces/fields/{chaincode}/{name}": db_pb2.StateData(Bytes=value).SerializeToString()
        for name, value in fields.items()
    }
    return call(
        Change(writes=writes),
        b"",
        by=by,
        endorsers=endorsers,
        chaincode="_lifecycle",
        function=b"CommitChaincodeDefinition",
        nonce=b"definition",
    )


def update(before: configtx_pb2.Config, after: configtx_pb2.Config, *, signers: Sequence[Member], by: Member) -> bytes:
    """Return the transaction that changes a configuration, if its elements' versions say what changed."""
    changed = configtx_pb2.ConfigUpdate(
        channel_id="ledger", read_set=before.channel_group, write_set=after.channel_group
    ).SerializeToString()
    signatures = []
    for one in signers:
        header = common_pb2.SignatureHeader(creator=one.serialized, nonce=b"n").SerializeToString()
        signatures.append(configtx_pb2.ConfigSignature(signature_header=header, signature=one.sign(header + changed)))
    signed = configtx_pb2.ConfigUpdateEnvelope(config_update=changed, signatures=signatures)
    last = common_pb2.Envelope(payload=common_pb2.Payload(data=signed.SerializeToString()).SerializeToString())
    whole = configtx_pb2.ConfigEnvelope(config=after, last_update=last)
    header = common_pb2.ChannelHeader(type=common_pb2.CONFIG, channel_id="ledger")
    signer = common_pb2.SignatureHeader(creator=by.serialized, nonce=b"n").SerializeToString()
    return envelope(header, signer, whole.SerializeToString(), by)


def replace_config(data: bytes, config: configtx_pb2.Config, *, by: Member) -> bytes:
    """Return a change of the configuration with another outcome than its update gives."""
    payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(data).payload)
    whole = configtx_pb2.ConfigEnvelope.FromString(payload.data)
    whole.config.CopyFrom(config)
    header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
    return envelope(header, payload.header.signature_header, whole.SerializeToString(), by)


def envelope(header: common_pb2.ChannelHeader, signer: bytes, data: bytes, by: Member) -> bytes:
    payload = common_pb2.Payload(
        header=common_pb2.Header(channel_header=header.SerializeToString(), signature_header=signer), data=data
    ).SerializeToString()
    return bytes(common_pb2.Envelope(payload=payload, signature=by.sign(payload)).SerializeToString())


class Chain:
    """A channel `ledger` as a peer would keep it; its orderers sign whatever they are told to."""

    def __init__(self, config: configtx_pb2.Config, orderers: Sequence[Member], *, numbered: bool = False) -> None:
        self.blocks: list[bytes] = []
        self._orderers = orderers
        self._numbered = numbered
        self._world = World()
        self._previous = b""
        self._committed = b""
        self._last_config = 0
        header = common_pb2.ChannelHeader(type=common_pb2.CONFIG, channel_id="ledger")
        data = configtx_pb2.ConfigEnvelope(config=config).SerializeToString()
        payload = common_pb2.Payload(
            header=common_pb2.Header(channel_header=header.SerializeToString()), data=data
        ).SerializeToString()
        self.add(common_pb2.Envelope(payload=payload).SerializeToString())

    def add(
        self,
        *transactions: bytes,
        codes: Sequence[str] | None = None,
        private: Mapping[int, rwset_pb2.TxPvtReadWriteSet] | None = None,
        is_config: bool = False,
    ) -> None:
        """Append a block; all its transactions are valid unless `codes` says otherwise."""
        number = len(self.blocks)
        header = blocks.Header(
            number=number, previous_hash=self._previous, data_hash=sha256(b"".join(transactions)).digest()
        )
        self._last_config = number if is_config else self._last_config
        flags = bytes(transaction_pb2.TxValidationCode.Value(code) for code in codes or ["VALID"] * len(transactions))
        signatures = self._signatures(header) if number else b""
        if number:
            for position, data in enumerate(transactions):
                read = blocks.decode_envelope(data)
                if flags[position] == 0 and read.kind == blocks.CALL:
                    self._world.apply((number, position), blocks.decode_call(read))
            self._committed = self._world.commit(flags, self._committed)
        stated = common_pb2.LastConfig(index=self._last_config).SerializeToString()
        metadata = [
            signatures,
            common_pb2.Metadata(value=stated).SerializeToString(),
            flags,
            b"",
            common_pb2.Metadata(value=self._committed).SerializeToString(),
        ]
        block = common_pb2.Block(
            header=common_pb2.BlockHeader(
                number=number, previous_hash=header.previous_hash, data_hash=header.data_hash
            ),
            data=common_pb2.BlockData(data=transactions),
            metadata=common_pb2.BlockMetadata(metadata=metadata),
        )
        whole = events_pb2.BlockAndPrivateData(block=block, private_data_map=private or {})
        self._previous = header.hash
        self.blocks.append(whole.SerializeToString())

    def _signatures(self, header: blocks.Header) -> bytes:
        last = common_pb2.LastConfig(index=self._last_config)
        signed = common_pb2.OrdererBlockMetadata(last_config=last).SerializeToString()
        signatures = []
        for number, one in enumerate(self._orderers, start=1):
            named = (
                common_pb2.IdentifierHeader(identifier=number, nonce=b"n").SerializeToString()
                if self._numbered
                else common_pb2.SignatureHeader(creator=one.serialized, nonce=b"n").SerializeToString()
            )
            kind = "identifier_header" if self._numbered else "signature_header"
            signature = one.sign(signed + named + header.data)
            signatures.append(common_pb2.MetadataSignature(signature=signature, **{kind: named}))
        return bytes(common_pb2.Metadata(value=signed, signatures=signatures).SerializeToString())


def steps(*each: list[object]) -> tuple[bytes, bytes]:
    """Return the toy's argument, and its result if no step gives anything."""
    return codec.encode({"steps": list(each)}), codec.encode([None] * len(each))


def _certificate(member: Member) -> x509.Certificate:
    return x509.load_pem_x509_certificate(identities_pb2.SerializedIdentity.FromString(member.serialized).id_bytes)


def _version(version: Version | None) -> kv_rwset_pb2.Version | None:
    return None if version is None else kv_rwset_pb2.Version(block_num=version[0], tx_num=version[1])


def _put(group: configtx_pb2.ConfigGroup, policy: str, kind: int, value: bytes) -> None:
    group.policies[policy].CopyFrom(
        configtx_pb2.ConfigPolicy(policy=policies_pb2.Policy(type=kind, value=value), mod_policy="Admins")
    )


def _put_meta(group: configtx_pb2.ConfigGroup, policy: str, rule: str, sub_policy: str) -> None:
    meta = policies_pb2.ImplicitMetaPolicy
    value = meta(rule=meta.Rule.Value(rule), sub_policy=sub_policy).SerializeToString()
    _put(group, policy, policies_pb2.Policy.IMPLICIT_META, value)


def _all_of(members: Sequence[Member]) -> bytes:
    principal = msp_principal_pb2.MSPPrincipal
    rules = [policies_pb2.SignaturePolicy(signed_by=index) for index in range(len(members))]
    envelope = policies_pb2.SignaturePolicyEnvelope(
        rule=policies_pb2.SignaturePolicy(n_out_of=policies_pb2.SignaturePolicy.NOutOf(n=len(members), rules=rules)),
        identities=[
            principal(principal_classification=principal.IDENTITY, principal=one.serialized) for one in members
        ],
    )
    return bytes(envelope.SerializeToString())
