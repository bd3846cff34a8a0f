"""A channel's configuration: who belongs to it, which policies hold, and whether an update of it was allowed.

After fabric common/configtx/{configmap,update,validator}.go and common/channelconfig.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fabric_protos.common import common_pb2, configtx_pb2, configuration_pb2
from fabric_protos.msp import identities_pb2

from wattpool.ledgers.fabric_blocks import Block, Envelope, Signature, Undecodable, decode
from wattpool.verify.fabric.membership import Members, Msp
from wattpool.verify.fabric.policy import Policies, Signed
from wattpool.verify.report import Broken, ViolationKind

BLOCK_VALIDATION = "/Channel/Orderer/BlockValidation"
LIFECYCLE = "/Channel/Application/LifecycleEndorsement"
_ROOT = "Channel"
_APPLICATION = "Application"
_ORDERER = "Orderer"
_CONSENTERS = "Orderers"
_MSP = "MSP"
_ADMINS = "Admins"

# A group, value or policy.
_Element = Any
# An element's kind and its path from the channel's own group on.
_Place = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What holds on a channel from one block of configuration to the next.

    Attributes:
        organisations: MSP ids of those who run peers, by the names of their groups.
        consenters: the orderers' serialized identities by number, where they have numbers (BFT).
    """

    channel: str
    config: configtx_pb2.Config
    members: Members
    policies: Policies
    organisations: Mapping[str, str]
    consenters: Mapping[int, bytes]

    @classmethod
    def genesis(cls, channel: str, envelope: Envelope) -> "Configuration":
        """Read the configuration that a channel starts from; nothing vouches for it but its hash.

        Raises:
            Undecodable: it is none.
        """
        return _read(channel, decode(configtx_pb2.ConfigEnvelope, envelope.data).config)

    def updated(self, envelope: Envelope) -> "Configuration":
        """Return the configuration in a transaction that follows this one.

        Raises:
            Undecodable: it is none.
            Broken: config; its last update does not give it, or those who signed the update may not do that.
        """
        message = decode(configtx_pb2.ConfigEnvelope, envelope.data)
        if message.config.sequence != self.config.sequence + 1:
            raise _refused(f"{message.config.sequence} follows {self.config.sequence}")
        payload = decode(common_pb2.Payload, message.last_update.payload)
        signed = decode(configtx_pb2.ConfigUpdateEnvelope, payload.data)
        if self._apply(signed) != message.config.channel_group:
            raise _refused("its last update does not give it")
        return _read(self.channel, message.config)

    def require_signed(self, block: Block) -> None:
        """Check the orderers' signatures of a block: every one holds, and together they suffice.

        Raises:
            Broken: signature.
        """
        signed = [
            Signed(
                signer=self._signer(one),
                message=block.signed_metadata + one.header + block.header.data,
                signature=one.signature,
            )
            for one in block.signatures
        ]
        signers = self.policies.signers(signed)
        if len(signers) != len(signed):
            raise Broken(ViolationKind.SIGNATURE, f"of {len(signed)} orderers' signatures {len(signers)} hold")
        if not self.policies.is_met(BLOCK_VALIDATION, signers):
            raise Broken(ViolationKind.SIGNATURE, "the signatures are not those of the orderers that it takes")

    def _signer(self, signature: Signature) -> bytes:
        return signature.creator or self.consenters.get(signature.consenter, b"")

    def _apply(self, signed: configtx_pb2.ConfigUpdateEnvelope) -> configtx_pb2.ConfigGroup:
        """Return what the channel's group becomes."""
        update = decode(configtx_pb2.ConfigUpdate, signed.config_update)
        if update.channel_id != self.channel:
            raise _refused(f"its last update is one of channel {update.channel_id!r}")
        present = dict(_elements((_ROOT,), self.config.channel_group))
        read = dict(_elements((_ROOT,), update.read_set))
        written = dict(_elements((_ROOT,), update.write_set))
        for place, element in read.items():
            if place not in present or present[place].version != element.version:
                raise _refused(f"its last update read another version of {_named(place)}")
        changed = {
            place: element
            for place, element in written.items()
            if place not in read or read[place].version != element.version
        }
        signers = self.policies.signers([_as_signed(one, signed.config_update) for one in signed.signatures])
        for place, element in changed.items():
            before = present.get(place)
            if element.version != (0 if before is None else before.version + 1):
                raise _refused(f"it skips a version of {_named(place)}")
            if before is not None and not self.policies.is_met(_policy_of(place, before), signers):
                raise _refused(f"those who signed its last update may not change {_named(place)}")
        return _joined((_ROOT,), present | changed)


def _read(channel: str, config: configtx_pb2.Config) -> Configuration:
    root = config.channel_group
    msps: dict[str, Msp] = {}
    organisations: dict[str, str] = {}
    for kind, group in root.groups.items():
        for name, organisation in group.groups.items():
            if _MSP in organisation.values:
                msp = Msp.read(organisation.values[_MSP].value)
                msps[msp.id] = msp
                if kind == _APPLICATION:
                    organisations[name] = msp.id
    members = Members(msps)
    return Configuration(
        channel=channel,
        config=config,
        members=members,
        policies=Policies(root, members),
        organisations=organisations,
        consenters=_consenters(root),
    )


def _consenters(root: configtx_pb2.ConfigGroup) -> dict[int, bytes]:
    """Return who they are (protoutil/blockutils.go searchConsenterIdentityByID)."""
    if _ORDERER not in root.groups or _CONSENTERS not in root.groups[_ORDERER].values:
        return {}
    found = decode(configuration_pb2.Orderers, root.groups[_ORDERER].values[_CONSENTERS].value)
    return {
        one.id: identities_pb2.SerializedIdentity(mspid=one.msp_id, id_bytes=one.identity).SerializeToString()
        for one in found.consenter_mapping
    }


def _elements(path: tuple[str, ...], group: configtx_pb2.ConfigGroup) -> Iterator[tuple[_Place, _Element]]:
    yield ("group", path), group
    for name, one in group.groups.items():
        yield from _elements((*path, name), one)
    for name, value in group.values.items():
        yield ("value", (*path, name)), value
    for name, policy in group.policies.items():
        yield ("policy", (*path, name)), policy


def _joined(path: tuple[str, ...], elements: Mapping[_Place, _Element]) -> configtx_pb2.ConfigGroup:
    """Return the group at a path; of a group that was changed, the change says what is in it."""
    group = elements.get(("group", path))
    if not isinstance(group, configtx_pb2.ConfigGroup):
        raise _refused(f"its last update has no group {'/'.join(path)}")
    joined = configtx_pb2.ConfigGroup(version=group.version, mod_policy=group.mod_policy)
    try:
        for name in group.groups:
            joined.groups[name].CopyFrom(_joined((*path, name), elements))
        for name in group.values:
            joined.values[name].CopyFrom(elements["value", (*path, name)])
        for name in group.policies:
            joined.policies[name].CopyFrom(elements["policy", (*path, name)])
    except KeyError as error:
        raise _refused(f"its last update lacks {error.args[0]}") from error
    # What came without a policy from Fabric 1.0 gets one as soon as the orderers have capabilities (configmap.go).
    if ("value", (_ROOT, _ORDERER, "Capabilities")) in elements:
        for element in (joined, *joined.values.values(), *joined.policies.values()):
            element.mod_policy = element.mod_policy or _ADMINS
    return joined


def _policy_of(place: _Place, element: _Element) -> str:
    """Return the path of the policy that says who may change an element (configtx/update.go policyForItem)."""
    kind, path = place
    if element.mod_policy.startswith("/"):
        return str(element.mod_policy)
    # The channel's own group has no place above it; another group's own policies govern it.
    above = path if kind == "group" else path[:-1]
    return "/" + "/".join((*above, element.mod_policy))


def _as_signed(signature: configtx_pb2.ConfigSignature, update: bytes) -> Signed:
    try:
        signer = decode(common_pb2.SignatureHeader, signature.signature_header).creator
    except Undecodable as error:
        raise _refused("its last update has a signature without a signer") from error
    return Signed(signer=signer, message=signature.signature_header + update, signature=signature.signature)


def _named(place: _Place) -> str:
    kind, path = place
    return f"the {kind} /{'/'.join(path)}"


def _refused(why: str) -> Broken:
    return Broken(ViolationKind.CONFIG, f"the configuration is none that this channel could get: {why}")
