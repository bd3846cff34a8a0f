import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from wattpool_chaincode.records import signing

KEY = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1())
PUBLIC_KEY = signing.public_bytes(KEY)
SIGNATURE = signing.sign(KEY, b"message")
R, S = decode_dss_signature(SIGNATURE)


def test_signing_again_gives_the_same_bytes() -> None:
    assert signing.sign(KEY, b"message") == SIGNATURE


def test_the_signature_is_the_one_of_rfc_6979() -> None:
    # Appendix A.2.5, SHA-256, message "sample"; its s is high, ours is n - s.
    key = ec.derive_private_key(0xC9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721, ec.SECP256R1())
    r, s = decode_dss_signature(signing.sign(key, b"sample"))
    assert r == 0xEFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716
    assert signing.ORDER - s == 0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8


def test_every_signature_is_low_s_and_verifies() -> None:
    for number in range(50):
        message = b"%d" % number
        signature = signing.sign(KEY, message)
        assert decode_dss_signature(signature)[1] <= signing.HALF_ORDER
        assert signing.is_signed(PUBLIC_KEY, message, signature)


def test_another_key_or_message_is_refused() -> None:
    other = signing.public_bytes(ec.derive_private_key(2, ec.SECP256R1()))
    assert not signing.is_signed(other, b"message", SIGNATURE)
    assert not signing.is_signed(PUBLIC_KEY, b"message ", SIGNATURE)


@pytest.mark.parametrize(
    "signature",
    [
        b"",
        b"\x30",
        SIGNATURE[:-1],
        SIGNATURE + b"\x00",
        SIGNATURE.replace(b"\x02\x20", b"\x02\x21\x00", 1),
        R.to_bytes(32, "big") + S.to_bytes(32, "big"),
        encode_dss_signature(R, signing.ORDER - S),
        encode_dss_signature(0, 0),
        encode_dss_signature(R, 0),
        encode_dss_signature(R + signing.ORDER, S),
        encode_dss_signature(1 << 4_000, S),
        b"\x30\x06\x02\x01\x01\x02\x01\xff",
        bytes.fromhex("3080020101020101"),
        bytes.fromhex("3084ffffffff"),
        bytes.fromhex("30060201ff0201ff"),
    ],
)
def test_only_the_one_low_s_der_signature_is_good(signature: bytes) -> None:
    assert not signing.is_signed(PUBLIC_KEY, b"message", signature)


@pytest.mark.parametrize(
    "public_key",
    [
        b"",
        bytes(33),
        b"\x02" + b"\xff" * 32,
        b"\x04" + PUBLIC_KEY[1:],
        b"\x06" + PUBLIC_KEY[1:],
        PUBLIC_KEY[:-1],
        PUBLIC_KEY + b"\x00",
    ],
)
def test_bytes_that_are_no_key_sign_nothing(public_key: bytes) -> None:
    assert not signing.is_signed(public_key, b"message", SIGNATURE)
    with pytest.raises(ValueError, match=r"."):
        signing.load_public_key(public_key)


def test_a_public_key_is_its_compressed_point() -> None:
    assert signing.public_bytes(KEY.public_key()) == PUBLIC_KEY
    assert PUBLIC_KEY.hex() == "039fad84aeae08bbef7f010014d82cef6a09de2b0cf871b5ce0c4f1d13a59a5934"
    assert signing.load_public_key(PUBLIC_KEY) == KEY.public_key()
