"""Checks an export of a ledger, written from docs/ledger-format.md alone: it shares no code with Wattpool.

Usage: python verify_export.py FILE.jsonl. Needs Python 3.11 and the package `cryptography`. It checks everything but
that the contracts, run again, do the same, which takes the contracts.
"""

import json
import sys
from base64 import b64decode, b64encode
from hashlib import sha256
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding

ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
FORMAT = "wattpool-export/1"
CONTRACT, LEDGER = "contract", "ledger"
TIME_TOLERANCE_S = 1800
LINES = {
    "genesis": "format genesis has_openings kind",
    "certificate": "fingerprint kind msp_id pem",
    "block": "block kind",
    "opening": "block channel collection key key_hash kind position value",
    "end": "blocks hash kind",
}
BLOCK = "channel codes data_hash number previous_hash transactions"
TRANSACTION = "endorsements proposal response signature"
PROPOSAL = "argument chaincode channel creator function id nonce time_utc transient"
RESPONSE = "event heights policies private_reads private_writes proposal ranges reads result writes"


class Refused(Exception):
    """The export does not hold: `kind` as in the table of violations, and where."""

    def __init__(self, kind, detail):
        super().__init__(f"{kind}: {detail}")
        self.kind = kind


def require(holds, kind, detail):
    if not holds:
        raise Refused(kind, detail)


def require_fields(value, fields, kind="malformed"):
    found = " ".join(sorted(value)) if isinstance(value, dict) else type(value).__name__
    require(found == fields, kind, f"the fields are {found}; {fields} were expected")


# Canonical JSON, hashes, signatures, trees


def encode(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def decode(data, kind="malformed"):
    try:
        value = json.loads(data.decode(), parse_float=int, parse_constant=int)
        is_canonical = encode(value) == data
    except (ValueError, RecursionError) as error:
        raise Refused(kind, f"not JSON: {error}") from error
    require(is_canonical, kind, "not canonical JSON")
    return value


def digest(data):
    return sha256(data).hexdigest()


def binary(text):
    data = b64decode(text, validate=True)
    require(b64encode(data).decode() == text, "malformed", "not canonical base64")
    return data


def is_signed(key, message, signature):
    try:
        _, s = decode_dss_signature(signature)
        if s > ORDER // 2:
            return False
        key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def key_of(compressed_hex):
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), bytes.fromhex(compressed_hex))


def node(left, right):
    return sha256(b"\x01" + left + right).digest()


def merkle_root(leaves):
    if not leaves:
        return sha256().digest()
    level = [sha256(b"\x00" + leaf).digest() for leaf in leaves]
    while len(level) > 1:
        odd = level[-1:] if len(level) % 2 else []
        level = [node(left, right) for left, right in zip(level[::2], level[1::2], strict=False)] + odd
    return level[0]


def peaks(leaves):
    """Return the roots of the perfect subtrees, largest first."""
    found, start = [], 0
    while start < len(leaves):
        size = 1 << (len(leaves) - start).bit_length() - 1
        found.append(merkle_root(leaves[start : start + size]).hex())
        start += size
    return found


# Certificates and policies

UNREADABLE = (
    InvalidSignature,
    TypeError,
    UnsupportedAlgorithm,
    ValueError,
    x509.DuplicateExtension,
    x509.ExtensionNotFound,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)


class Member:
    """Who holds a certificate, and what it is for."""

    def __init__(self, msp_id, pem, root):
        try:
            certificate = x509.load_pem_x509_certificate(pem.encode())
            certificate.verify_directly_issued_by(root)
            constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
            usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
            units = certificate.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATIONAL_UNIT_NAME)
        except UNREADABLE as error:
            raise Refused("certificate", f"of {msp_id}: {error}") from error
        self.msp_id, self.pem, self.key = msp_id, pem, certificate.public_key()
        self.role = units[0].value if units else None
        self.fingerprint = certificate.fingerprint(hashes.SHA256()).hex()
        self.start = max(one.not_valid_before_utc.timestamp() for one in (certificate, root))
        self.end = min(one.not_valid_after_utc.timestamp() for one in (certificate, root))
        require(certificate.public_bytes(Encoding.PEM).decode() == pem, "certificate", "not one PEM certificate")
        require(not constraints.ca and usage.digital_signature, "certificate", "not one that signs transactions")
        require(self.role in ("client", "peer"), "certificate", f"the role is {self.role}")

    def may(self, role, time_utc):
        return self.role == role and self.start <= time_utc <= self.end


def evaluate(policy, unused):
    """Return the endorsers left when the policy has taken those it needs, None if it is not met."""
    met = 0
    for rule in policy["rules"]:
        if isinstance(rule, str):
            left = [one for one in unused if one != rule] if rule in unused else None
        else:
            left = evaluate(rule, unused)
        if left is not None:
            met, unused = met + 1, left
    return unused if met >= policy["required"] else None


# One channel, block by block


class Chain:
    """The state behind the blocks checked so far."""

    def __init__(self, channel, installed, genesis_hash):
        self.channel, self.installed, self.tip = channel, installed, genesis_hash
        self.hashes, self.ids, self.times = [], set(), []
        self.state = {}  # key: (value, version)
        self.policies = {}  # key: policy
        self.private = {}  # (collection, key hash): (value hash, version), as they are now
        self.written = {}  # (collection, key hash, block, position): value hash, of all that was ever written
        self.purged = {}  # (collection, key hash): version of the last purge

    def version(self, key):
        return self.state[key][1] if key in self.state else None

    def read(self, key):
        return decode(self.state[key][0])

    def range(self, start, end):
        return sorted(key for key in self.state if start <= key and (not end or key < end))

    def judge(self, members, transaction, changed):
        """Return the code that a transaction deserves; `changed` are keys whose policy changed in its block."""
        require_fields(transaction, TRANSACTION)
        proposal, response = transaction["proposal"], transaction["response"]
        require_fields(proposal, PROPOSAL)
        require_fields(response, RESPONSE)
        response_hash, time_utc = digest(encode(response)), proposal["time_utc"]
        creator = members.get(proposal["creator"])
        message = encode({"endorsements": transaction["endorsements"], "response": response_hash})
        if creator is None or not creator.may("client", time_utc):
            return "BAD_CREATOR_SIGNATURE"
        if not is_signed(creator.key, b"wattpool/transaction/1 " + message, binary(transaction["signature"])):
            return "BAD_CREATOR_SIGNATURE"
        if response["proposal"] != digest(encode(proposal)):
            return "INVALID_ENDORSER_TRANSACTION"
        if proposal["id"] != digest(binary(proposal["nonce"]) + creator.pem.encode()):
            return "BAD_PROPOSAL_TXID"
        if proposal["id"] in self.ids:
            return "DUPLICATE_TXID"
        if proposal["chaincode"] != self.installed["name"]:
            return "INVALID_CHAINCODE"
        written = {*response["writes"], *response["policies"]}
        message = b"wattpool/endorsement/1 " + response_hash.encode()
        endorsers = set()
        for fingerprint, signature in transaction["endorsements"]:
            peer = members.get(fingerprint)
            if peer and peer.may("peer", time_utc) and is_signed(peer.key, message, binary(signature)):
                endorsers.add(peer.msp_id)
        applying = [self.policies[key] for key in written if key in self.policies]
        if len(applying) < len(written) or response["private_writes"] or not applying:
            applying.append(self.installed["policy"])
        if changed & written or any(evaluate(one, sorted(endorsers)) is None for one in applying):
            return "ENDORSEMENT_POLICY_FAILURE"
        for key, version in response["reads"].items():
            if self.version(key) != version:
                return "MVCC_READ_CONFLICT"
        for collection, key_hash, version in response["private_reads"]:
            if self.private.get((collection, key_hash), (None, None))[1] != version:
                return "MVCC_READ_CONFLICT"
        for start, end, found in response["ranges"]:
            if [[key, self.version(key)] for key in self.range(start, end)] != found:
                return "PHANTOM_READ_CONFLICT"
        return "VALID"

    def require_time(self, proposal, response):
        versions = [*response["reads"].values(), *(one[2] for one in response["private_reads"])]
        versions += [version for _, _, found in response["ranges"] for _, version in found]
        for number, position in filter(None, versions):
            late_s = self.times[number][position] - proposal["time_utc"]
            require(late_s <= TIME_TOLERANCE_S, "time", f"{proposal['id']} was proposed before what it read")

    def apply(self, version, response):
        for key, text in response["writes"].items():
            if text is None:
                self.state.pop(key, None)
                self.policies.pop(key, None)
            else:
                self.state[key] = (binary(text), version)
        for key, policy in response["policies"].items():
            if key in self.state:
                self.state[key] = (self.state[key][0], version)
                self.policies[key] = policy
                if policy is None:
                    del self.policies[key]
        for collection, key_hash, value_hash in response["private_writes"]:
            if value_hash is None:
                self.private.pop((collection, key_hash), None)
                self.purged[collection, key_hash] = version
            else:
                self.private[collection, key_hash] = (value_hash, version)
                self.written[collection, key_hash, *version] = value_hash


# The laws of the ledger chain

HOLDINGS = {
    "wallet": lambda value: value["balance_ut"],
    "move": lambda value: value["deposit_ut"],
    "offer": lambda value: value["held_ut"],
    "purse": sum,
    "fees": int,
    "supply": lambda value: value["redeemed_ut"] - value["bought_ut"],
}


class Laws:
    """Tokens behind every transaction, energy when a period is final, seals."""

    def __init__(self, chain):
        self.chain, self.held_ut, self.escrow_ut = chain, 0, {}

    def check(self, before, writes, argument):
        for key, text in writes.items():
            kind, _, part = key.partition("/")
            value = None if text is None else decode(binary(text))
            for data, sign in ((value, 1), (before.get(key), -1)):
                if kind in HOLDINGS and data is not None:
                    self.held_ut += sign * HOLDINGS[kind](data)
            start = part.partition("/")[0]
            if kind == "deal":
                taken_in, paid_out = self.escrow_ut.get(start, (0, 0))
                self.escrow_ut[start] = (value["escrow_ut"], paid_out)
            elif kind == "settled":
                taken_in, paid_out = self.escrow_ut.get(start, (0, 0))
                self.escrow_ut[start] = (taken_in, paid_out + value["out_ut"])
            elif kind == "period" and value["phase"] in ("final", "sealed"):
                self.escrow_ut.pop(start, None)
        surplus_ut = self.held_ut + sum(taken_in - paid_out for taken_in, paid_out in self.escrow_ut.values())
        require(surplus_ut == 0, "tokens", f"{surplus_ut} ut too many")
        for key in writes:
            kind, _, part = key.partition("/")
            start, _, version = part.partition("/v")
            version = int(version or 1)
            if kind == "result":
                self.require_energy(start, version)
            elif kind == "seal":
                self.require_seal(start, version, argument)
            elif kind in ("delta", "due"):
                self.require_delta(start, version, before, writes)

    def pages(self, start, version):
        """Return a version's public pages, each as the version that wrote it left it."""
        pages = [self.chain.read(key) for key in self.chain.range(f"settled/{start}/", f"settled/{start}0")]
        for number, written_by in enumerate(self.chain.read(named("result", start, version)).get("pages", [])):
            if written_by > 1:
                pages[number] = self.chain.read(named(f"corrected/{start}", f"{number:04}", written_by))
        return pages

    def require_energy(self, start, version):
        result, pages = self.chain.read(named("result", start, version)), self.pages(start, version)
        if version > 1:
            corrected = digest(self.chain.state[named("result", start, version - 1)][0])
            named_right = (result["version"], result["corrects"]) == (version, corrected)
            require(named_right, "energy", f"period {start}: version {version} corrects another")
        accounts = [account for page in pages for account in page["accounts"]]
        trades = [trade for page in pages for trade in page["trades"]]
        sums = {sum(one[1] for one in accounts), sum(one[2] for one in accounts), sum(one[4] for one in trades)}
        require(sums == {result["traded_wh"]}, "energy", f"period {start}: {sums} Wh")
        firm = [row for page in pages for row in page["firm"]]
        require(all(0 <= row[4] <= row[3] for row in firm), "energy", f"period {start}: more than was claimed by hand")
        require(
            sorted([row[0], *row[5:-1]] for row in firm) == result["firm"], "energy", f"period {start}: firm trades"
        )
        traded = {slot for one in trades if one[4] for slot in one[1:3]}
        traded |= {slot for row in firm if row[4] for slot in row[1:3]}
        shut_out = traded & set(self.chain.read(f"frozen/{start}")["suspended"])
        require(not shut_out, "energy", f"period {start}: slots {shut_out} were suspended and traded")
        leaves = [bytes.fromhex(leaf) for page in pages for leaf in page["leaves"]]
        require(merkle_root(leaves).hex() == result["root"], "energy", f"period {start}: another root")

    def gets_ut(self, start, version):
        """Return what each party got back or earned in a version, and the DSO in fees."""
        roster = self.chain.read(f"roster/{self.chain.read(f'period/{start}')['roster']:06}")
        parties = [one["party"] for page in roster["pages"] for one in self.chain.read(f"roster-page/{page}")]
        gets_ut = {}
        for page in self.pages(start, version):
            for slot, _, _, _, fees_ut, earned_ut, refund_ut in page["accounts"]:
                for party, amount_ut in ((parties[slot], earned_ut + refund_ut), ("DsoMSP", fees_ut)):
                    gets_ut[party] = gets_ut.get(party, 0) + amount_ut
        return gets_ut

    def require_delta(self, start, version, before, writes):
        delta, due_key = self.chain.read(named("delta", start, version)), named("due", start, version)
        new, old = self.gets_ut(start, version), self.gets_ut(start, version - 1)
        changes = {party: new.get(party, 0) - old.get(party, 0) for party in {**new, **old}}
        payments = dict(delta["payments"])
        holds = payments == {party: ut for party, ut in changes.items() if ut}
        holds = holds and delta["corrects"] == digest(self.chain.state[named("result", start, version - 1)][0])
        was_open = payments if named("delta", start, version) in writes else dict(before.get(due_key, []))
        due = dict(self.chain.read(due_key)) if due_key in self.chain.state else {}
        for party, ut in due.items():
            holds = holds and (0 < ut <= was_open.get(party, 0) or was_open.get(party, 0) <= ut < 0)
        for party, ut in was_open.items():
            key = "fees" if party == "DsoMSP" else f"wallet/{party}"
            values = (before.get(key), decode(binary(writes[key]))) if key in writes else (None, None)
            was_ut, is_ut = (0 if one is None else HOLDINGS[key.partition("/")[0]](one) for one in values)
            holds = holds and is_ut - was_ut == ut - due.get(party, 0)
        require(holds and sum(due.values()) == 0, "tokens", f"period {start}: payments of version {version}")

    def require_seal(self, start, version, argument):
        roster = self.chain.read(f"roster/{self.chain.read(f'period/{start}')['roster']:06}")
        rules = [one["rules"] for one in roster["rules"] if one["from_utc"] <= int(start)][-1]
        before = f"seal/{int(start) - rules['period_s']:011}" if version == 1 else named("seal", start, version - 1)
        previous = self.chain.read(before)["seal"] if before in self.chain.state else "0" * 64
        text, signature = decode(argument)["seal"]
        result_hash = digest(self.chain.state[named("result", start, version)][0])
        tag, _, body = text.encode().partition(b" ")
        payload = decode(body)
        holds = (
            tag == b"wattpool/seal/1"
            and payload["period"] == int(start)
            and payload["content"] == {"previous": previous, "result": result_hash}
            and self.chain.read(named("seal", start, version)) == {"previous": previous, "seal": digest(text.encode())}
            and is_signed(key_of(rules["seal_key"]), text.encode(), binary(signature))
        )
        require(holds, "seal", f"period {start}")


def named(kind, start, version):
    """Return the key of something of a version of a period."""
    return f"{kind}/{start}" if version == 1 else f"{kind}/{start}/v{version:04}"


def require_statements(chain, key, value):
    """Check private statements against the hashes that were published, and against what the meters measured."""
    page = chain.read(key.replace("statement/", "corrected/" if "/v" in key else "settled/", 1))
    statements = value["statements"]
    require([digest(encode(one)) for one in statements] == page["leaves"], "energy", f"{key}: other statements")
    accounts = {one[0]: (one[1], one[2]) for one in page["accounts"]}
    start = key.split("/")[1]
    firm = [row for name in chain.range(f"settled/{start}/", f"settled/{start}0") for row in chain.read(name)["firm"]]
    for one in statements:
        slot = one["slot"]
        traded = (one["bought_wh"], one["sold_wh"])
        require(traded == accounts.get(slot, (0, 0)), "energy", f"{key}: slot {slot}")
        by_hand = (sum(row[4] for row in firm if row[1] == slot), sum(row[4] for row in firm if row[2] == slot))
        require(by_hand == (one["firm_bought_wh"], one["firm_sold_wh"]), "energy", f"{key}: slot {slot} by hand")
        is_imported = one["bought_wh"] + by_hand[0] <= one["import_wh"]
        measured = is_imported and one["sold_wh"] + by_hand[1] <= one["export_wh"]
        require(measured, "energy", f"{key}: slot {one['slot']} traded more than it measured")


def require_records(chain, key, value):
    """Check that every meter record taken in is signed by its device."""
    start, chunk = key.split("/")[1:]
    roster = chain.read(f"roster/{chain.read(f'period/{start}')['roster']:06}")
    entries = [entry for page in roster["pages"] for entry in chain.read(f"roster-page/{page}")]
    keys = {entry["device"]: entry["device_key"] for entry in entries}
    refused = {index for index, _ in chain.read(f"records/{start}/{chunk}")["refused"]}
    for index, item in enumerate(value["items"]):
        if index not in refused:
            _, payload, signature = item.split("|")
            device = json.loads(payload)["GS"]
            signed = is_signed(key_of(keys[device]), payload.encode(), bytes.fromhex(json.loads(signature)["SD"]))
            require(signed, "signature", f"{key}: the record of {device}")


# The file


class Verifier:
    """Takes an export in, line by line."""

    def __init__(self):
        self.chains, self.roots, self.members, self.checkpoints, self.opened = {}, {}, {}, [], set()
        self.has_openings, self.laws, self.digest, self.is_over = False, None, sha256(), False

    def run(self, lines):
        for number, line in enumerate(lines, start=1):
            require(line.endswith(b"\n"), "file", f"line {number} is cut off")
            value = decode(line[:-1], "file")
            is_first = isinstance(value, dict) and value.get("kind") == "genesis"
            require(is_first == (number == 1) and not self.is_over, "file", f"line {number} in this place")
            try:
                require_fields(value, LINES[value["kind"]], "file")
                getattr(self, f"take_{value['kind']}")(value)
            except (*UNREADABLE, LookupError, AttributeError) as error:
                raise Refused("malformed", f"line {number}: {type(error).__name__} {error}") from error
            self.digest.update(line)
        require(self.is_over, "file", "cut off: the last line is missing")
        self.require_checkpoints()
        self.require_openings()

    def take_genesis(self, value):
        require(value["format"] == FORMAT, "file", f"the format is {value['format']}")
        genesis, self.has_openings = value["genesis"], value["has_openings"]
        require(genesis["version"] == 1, "genesis", f"version {genesis['version']}")
        self.roots = {
            msp: x509.load_pem_x509_certificate(pem.encode()) for msp, pem in genesis["organisations"].items()
        }
        start = digest(encode(genesis))
        self.chains = {name: Chain(name, one, start) for name, one in genesis["chaincodes"].items()}
        self.laws = Laws(self.chains[LEDGER])

    def take_certificate(self, value):
        member = Member(value["msp_id"], value["pem"], self.roots[value["msp_id"]])
        require(member.fingerprint == value["fingerprint"], "certificate", "another fingerprint")
        self.members[member.fingerprint] = member

    def take_block(self, value):
        block = value["block"]
        require_fields(block, BLOCK)
        transactions = block.pop("transactions")
        chain = self.chains[block["channel"]]
        place = f"{chain.channel} block {block['number']}"
        require(block["number"] == len(chain.hashes), "number", place)
        require(block["previous_hash"] == chain.tip, "previous_hash", place)
        require(block["data_hash"] == digest(encode(transactions)), "data_hash", place)
        require(len(block["codes"]) == len(transactions), "code", place)
        changed = set()
        chain.times.append([])
        for position, (one, code) in enumerate(zip(transactions, block["codes"], strict=True)):
            deserved = chain.judge(self.members, one, changed)
            require(code == deserved, "code", f"{place}: transaction {position} is {code}, not {deserved}")
            require(one["proposal"]["channel"] == chain.channel, "transaction_id", place)
            chain.ids.add(one["proposal"]["id"])
            chain.times[-1].append(one["proposal"]["time_utc"])
            if code == "VALID":
                changed.update(one["response"]["policies"])
                self.take_effect(chain, [block["number"], position], one)
        chain.tip = digest(encode(block))
        chain.hashes.append(bytes.fromhex(chain.tip))

    def take_effect(self, chain, version, transaction):
        proposal, response = transaction["proposal"], transaction["response"]
        chain.require_time(proposal, response)
        before = {key: decode(chain.state[key][0]) for key in response["writes"] if key in chain.state}
        chain.apply(version, response)
        if chain.channel == LEDGER:
            self.laws.check(before, response["writes"], binary(proposal["argument"]))
        if chain.channel == CONTRACT:
            written = response["writes"].items()
            self.checkpoints += [decode(binary(text)) for key, text in written if key.startswith("checkpoint/")]

    def take_opening(self, value):
        place = (value["channel"], value["collection"], value["key_hash"], value["block"], value["position"])
        chain, key, data = self.chains[value["channel"]], value["key"], binary(value["value"])
        require(digest(key.encode()) == value["key_hash"], "private_data", f"{key}: another key")
        require(chain.written.get(place[1:]) == digest(data), "private_data", f"{key}: another value")
        require(place not in self.opened, "private_data", f"{key}: twice")
        self.opened.add(place)
        if key.startswith("statement/"):
            require_statements(chain, key, decode(data))
        elif key.startswith("record/"):
            require_records(chain, key, decode(data))

    def take_end(self, value):
        self.is_over = True
        heights = {name: len(chain.hashes) for name, chain in self.chains.items() if chain.hashes}
        require(value["blocks"] == heights, "file", "blocks are missing")
        require(value["hash"] == self.digest.hexdigest(), "file", "lines were changed")

    def require_checkpoints(self):
        """Check each checkpoint against the hashes of the blocks that it counts."""
        for stated in self.checkpoints:
            roots = []
            for channel in (CONTRACT, LEDGER):
                leaves = self.chains[channel].hashes[: stated[channel]["blocks"]]
                found = {"blocks": len(leaves), "peaks": peaks(leaves)}
                require(stated[channel] == found, "checkpoint", f"over {stated[channel]['blocks']} blocks of {channel}")
                roots.append(merkle_root(leaves))
            require(stated["root"] == merkle_root(roots).hex(), "checkpoint", "another root")

    def require_openings(self):
        """Check that no private value is missing, or there although it was purged."""
        for channel, chain in self.chains.items():
            for place in chain.written:
                is_purged = place[2:] <= tuple(chain.purged.get(place[:2], (-1, 0)))
                is_here = (channel, *place) in self.opened
                require(not (is_here and is_purged), "private_state", f"{place[1]} was purged")
                require(is_here or is_purged or not self.has_openings, "private_data", f"{place[1]} is missing")


def main(path):
    verifier = Verifier()
    try:
        with Path(path).open("rb") as lines:
            verifier.run(lines)
    except Refused as error:
        print(error)
        return 1
    for name, chain in verifier.chains.items():
        print(f"{name}: {len(chain.hashes)} blocks, tip {chain.tip}")
    print("everything holds, but for the contracts themselves, which were not run")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
