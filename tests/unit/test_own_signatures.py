"""Which signatures are not checked: those that this process made, to the last byte, and not too long ago."""

import pytest

from wattpool.ledgers.certificates import Authority, Identity, Role
from wattpool.ledgers.signatures import OwnSignatures
from wattpool_chaincode.organisations import DSO
from wattpool_chaincode.records import signing

NOW_UTC = 1_489_996_800


@pytest.fixture(scope="module")
def identity() -> Identity:
    return Authority.create(DSO, now_utc=NOW_UTC).enrol("anne", role=Role.CLIENT)


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The messages whose signatures were checked."""
    messages = []

    def is_signed(public_key: bytes, message: bytes, signature: bytes) -> bool:
        messages.append(message)
        return in_full(public_key, message, signature)

    in_full = signing.is_signed
    monkeypatch.setattr(signing, "is_signed", is_signed)
    return messages


def test_signing_gives_the_bytes_that_it_always_gives(identity: Identity) -> None:
    assert OwnSignatures().sign(identity, b"message") == identity.sign(b"message")


def test_what_was_signed_here_is_not_checked(identity: Identity, checked: list[bytes]) -> None:
    own = OwnSignatures()
    signature = own.sign(identity, b"message")
    assert own.is_signed(identity.public_key, b"message", signature)
    assert checked == []


@pytest.mark.parametrize("changed", ["public_key", "message", "signature"])
def test_whatever_differs_by_a_bit_is_checked_and_refused(
    identity: Identity, checked: list[bytes], changed: str
) -> None:
    own = OwnSignatures()
    parts = {"public_key": identity.public_key, "message": b"message"}
    parts["signature"] = own.sign(identity, b"message")
    for place in range(len(parts[changed])):
        one = bytearray(parts[changed])
        one[place] ^= 1
        checked.clear()
        assert not own.is_signed(**{**parts, changed: bytes(one)})
        assert len(checked) == 1


def test_what_was_signed_elsewhere_is_checked_each_time(identity: Identity, checked: list[bytes]) -> None:
    own, signature = OwnSignatures(), identity.sign(b"message")
    for _ in range(2):
        assert own.is_signed(identity.public_key, b"message", signature)
        assert not own.is_signed(identity.public_key, b"other", signature)
    assert checked == [b"message", b"other"] * 2


def test_the_oldest_is_forgotten_and_checked_again(identity: Identity, checked: list[bytes]) -> None:
    own = OwnSignatures(most=2)
    signatures = {message: own.sign(identity, message) for message in (b"first", b"second", b"third")}
    for message, signature in signatures.items():
        assert own.is_signed(identity.public_key, message, signature)
    assert checked == [b"first"]
