import json
from dataclasses import replace
from fractions import Fraction
from hashlib import sha256
from itertools import pairwise
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from hypothesis import given
from hypothesis import strategies as st

from wattpool_chaincode.records import codec, merkle, ocmf, signing
from wattpool_chaincode.records.ocmf import MalformedRecord, MeterRecord, TimeStatus
from wattpool_chaincode.records.payload import Malformed, Payload, Signed, sign
from wattpool_chaincode.records.period import Period, period_of
from wattpool_chaincode.records.units import amount_ut, divide_half_even, share_pro_rata

KEY = ec.derive_private_key(0x1234567890ABCDEF, ec.SECP256R1())
PUBLIC_KEY = signing.public_bytes(KEY)

counts = st.integers(0, (1 << 53) - 1)
integers = st.integers(-codec.MAX_INTEGER, codec.MAX_INTEGER)
# Any text but lone surrogates, which have no UTF-8.
texts = st.text(st.characters(codec="utf-8"), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | integers | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
# What Python takes for JSON although it has no canonical bytes.
strange_values = st.recursive(
    values | st.floats() | st.integers() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers() | st.none(), inner, max_size=3)
    ),
    max_leaves=8,
)
payloads = st.builds(
    Payload,
    kind=st.sampled_from(["request", "state", "limits"]),
    community=texts,
    signer=texts,
    period_start_utc=counts,
    counter=counts,
    content=st.dictionaries(texts, values, max_size=4),
)
record_texts = st.text(
    st.characters(min_codepoint=32, max_codepoint=126, exclude_characters='"\\|'), min_size=1, max_size=64
)
record_hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)


@st.composite
def records(draw: st.DrawFn) -> MeterRecord:
    time_utc = draw(st.integers(1, 253_402_300_799))
    return MeterRecord(
        community=draw(record_texts),
        device=draw(record_texts),
        agent_version=draw(record_texts),
        model=draw(record_texts),
        number=draw(st.integers(1, (1 << 53) - 1)),
        vendor=draw(record_texts),
        meter_model=draw(record_texts),
        serial=draw(record_texts),
        time_utc=time_utc,
        time_status=draw(st.sampled_from(TimeStatus)),
        import_wh=draw(counts),
        export_wh=draw(counts),
        error_flags=draw(st.sampled_from(["", "E", "t", "Et"])),
        status=draw(st.sampled_from("GNTDRMXIOSEF")),
        period_start_utc=draw(st.integers(0, time_utc - 1)),
        previous_hash=draw(record_hashes),
        leaves_root=draw(record_hashes),
        leaves=draw(counts),
        lost_edges=draw(counts),
        boot_id=draw(record_texts),
        monotonic_ms=draw(counts),
    )


@given(value=values)
def test_a_value_reads_back_from_its_bytes(value: Any) -> None:
    assert codec.decode(codec.encode(value)) == value


@given(value=strange_values)
def test_a_value_is_written_so_that_it_reads_back_or_refused(value: Any) -> None:
    try:
        data = codec.encode(value)
    except codec.NotCanonical:
        return
    assert codec.encode(codec.decode(data)) == data


@given(data=st.binary(max_size=40) | st.text(alphabet='[]{}":,0129.eE-+ ntrueN\\ud8', max_size=20).map(str.encode))
def test_bytes_are_canonical_or_refused(data: bytes) -> None:
    try:
        value = codec.decode(data)
    except codec.NotCanonical:
        return
    assert codec.encode(value) == data


@given(payload=payloads)
def test_a_payload_reads_back_and_its_signature_holds(payload: Payload) -> None:
    signed = Signed.from_json(codec.decode(codec.encode(sign(payload, KEY).to_json())))
    assert signed.is_signed_by(PUBLIC_KEY)
    assert Payload.decode(payload.kind, signed.payload) == payload


@given(payload=payloads, data=st.data())
def test_a_payload_with_any_byte_changed_is_refused(payload: Payload, data: st.DataObject) -> None:
    signed = sign(payload, KEY)
    index = data.draw(st.integers(0, len(signed.payload) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != signed.payload[index]))
    changed = signed.payload[:index] + bytes([byte]) + signed.payload[index + 1 :]
    assert not replace(signed, payload=changed).is_signed_by(PUBLIC_KEY)


@given(kind=st.sampled_from(["request", "state"]), data=st.binary(max_size=60))
def test_bytes_after_a_tag_are_a_payload_or_malformed(kind: str, data: bytes) -> None:
    data = f"wattpool/{kind}/1 ".encode() + data
    try:
        payload = Payload.decode(kind, data)
    except Malformed:
        return
    assert payload.encode() == data


@given(value=st.tuples(st.text(), st.text(alphabet="AZaz09+/=-_\n", max_size=9)).map(list) | strange_values)
def test_a_signed_pair_reads_back_to_the_same_text_or_is_malformed(value: Any) -> None:
    try:
        signed = Signed.from_json(value)
    except Malformed:
        return
    assert signed.to_json() == list(value)


@given(public_key=st.binary(max_size=40) | st.just(PUBLIC_KEY), message=st.binary(), signature=st.binary(max_size=80))
def test_random_bytes_sign_nothing_and_break_nothing(public_key: bytes, message: bytes, signature: bytes) -> None:
    assert not signing.is_signed(public_key, message, signature)


@given(r=st.integers(0, 1 << 260), s=st.integers(0, 1 << 260), message=st.binary(max_size=8))
def test_numbers_out_of_thin_air_are_no_signature(r: int, s: int, message: bytes) -> None:
    signature = encode_dss_signature(r, s)
    assert not signing.is_signed(PUBLIC_KEY, message, signature)


@given(record=records())
def test_a_record_reads_back_and_its_signature_holds(record: MeterRecord) -> None:
    text = ocmf.write(record, KEY)
    signed = ocmf.read(text)
    assert signed.record == record
    assert signed.payload == record.payload()
    assert signed.is_signed_by(PUBLIC_KEY)
    assert ocmf.split(text) == ocmf.Sections(payload=signed.payload, curve="secp256r1", signature=signed.signature)


@given(record=records())
def test_a_record_is_json_of_the_fields_that_ocmf_prescribes(record: MeterRecord) -> None:
    fields = json.loads(record.payload())
    assert (fields["MS"], fields["GS"], fields["PG"]) == (record.serial, record.device, f"F{record.number}")
    assert [(reading["RI"], reading["RV"], reading["RU"]) for reading in fields["RD"]] == [
        ("1-0:1.8.0", record.import_wh, "Wh"),
        ("1-0:2.8.0", record.export_wh, "Wh"),
    ]


@given(record=records(), data=st.data())
def test_a_record_with_any_character_changed_is_refused(record: MeterRecord, data: st.DataObject) -> None:
    text = ocmf.write(record, KEY)
    index = data.draw(st.integers(0, len(text) - 1))
    character = data.draw(st.characters().filter(lambda character: character != text[index]))
    changed = text[:index] + character + text[index + 1 :]
    try:
        assert not ocmf.read(changed).is_signed_by(PUBLIC_KEY)
    except MalformedRecord:
        return


@given(text=st.text() | st.text().map(lambda text: f"OCMF|{{}}|{text}"))
def test_text_that_no_meter_wrote_is_malformed(text: str) -> None:
    for reader in (ocmf.read, ocmf.split):
        try:
            reader(text)
        except MalformedRecord:
            continue
        raise AssertionError(text)


leaf_lists = st.lists(st.binary(max_size=8), max_size=70)


def root_by_definition(leaves: list[bytes]) -> bytes:
    """RFC 9162, section 2.1.1, word by word."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + root_by_definition(leaves[:split]) + root_by_definition(leaves[split:])).digest()


@given(leaves=leaf_lists)
def test_the_root_is_the_one_of_the_definition(leaves: list[bytes]) -> None:
    assert merkle.root(leaves) == root_by_definition(leaves)


@given(leaves=leaf_lists)
def test_every_leaf_has_a_path_of_at_most_log_n_hashes_to_the_root(leaves: list[bytes]) -> None:
    for index, leaf in enumerate(leaves):
        path = merkle.inclusion_path(leaves, index)
        assert len(path) <= (len(leaves) - 1).bit_length()
        assert merkle.root_of_path(leaf, index=index, size=len(leaves), path=path) == merkle.root(leaves)


@given(leaves=leaf_lists.filter(bool), stranger=st.binary(max_size=8), data=st.data())
def test_no_other_leaf_place_or_path_leads_to_the_root(
    leaves: list[bytes], stranger: bytes, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = merkle.inclusion_path(leaves, index)
    root, size = merkle.root(leaves), len(leaves)
    if stranger != leaves[index]:
        assert merkle.root_of_path(stranger, index=index, size=size, path=path) != root
    for place, sibling in enumerate(path):
        bent = [*path[:place], sha256(sibling).digest(), *path[place + 1 :]]
        assert merkle.root_of_path(leaves[index], index=index, size=size, path=bent) != root
    elsewhere = data.draw(st.integers(0, len(leaves) - 1))
    if leaves[elsewhere] != leaves[index]:
        try:
            assert merkle.root_of_path(leaves[index], index=elsewhere, size=size, path=path) != root
        except ValueError:
            assert len(path) != len(merkle.inclusion_path(leaves, elsewhere))


weights_and_totals = st.lists(st.integers(0, 10**6), max_size=30).flatmap(
    lambda weights: st.tuples(st.just(weights), st.integers(0, sum(weights)))
)


@given(case=weights_and_totals)
def test_shares_sum_to_the_total_stay_within_their_weights_and_near_their_due(case: tuple[list[int], int]) -> None:
    weights, total = case
    shares = share_pro_rata(total, weights)
    assert sum(shares) == total
    for share, weight in zip(shares, weights, strict=True):
        assert 0 <= share <= weight
        if weight:
            assert abs(share - Fraction(total * weight, sum(weights))) < 1


@given(case=weights_and_totals)
def test_a_larger_weight_never_gets_a_smaller_share(case: tuple[list[int], int]) -> None:
    weights, total = case
    ranked = sorted(zip(weights, share_pro_rata(total, weights), strict=True))
    assert all(low[1] <= high[1] for low, high in pairwise(ranked) if low[0] < high[0])


@given(numerator=st.integers(), denominator=st.integers(1, 10**9))
def test_division_agrees_with_exact_fractions(numerator: int, denominator: int) -> None:
    assert divide_half_even(numerator, denominator) == round(Fraction(numerator, denominator))


@given(energy_wh=st.integers(-(10**9), 10**9), price_ut_per_kwh=st.integers(-(10**9), 10**9))
def test_what_one_side_pays_is_what_the_other_gets(energy_wh: int, price_ut_per_kwh: int) -> None:
    assert amount_ut(-energy_wh, price_ut_per_kwh) == -amount_ut(energy_wh, price_ut_per_kwh)


@given(time_utc=st.integers(0, 253_402_300_799), length_s=st.sampled_from([1, 60, 900, 1_800, 3_600, 86_400]))
def test_every_second_lies_in_exactly_one_period(time_utc: int, length_s: int) -> None:
    period = period_of(time_utc, length_s)
    assert period.start_utc <= time_utc < period.end_utc
    assert period_of(period.end_utc, length_s) == period.next == Period(period.end_utc, length_s)
