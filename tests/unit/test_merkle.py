import random
from hashlib import sha256
from pathlib import Path

import pytest

from wattpool_chaincode.records import merkle

GOLDEN = Path(__file__).parent / "golden"
# The reference tree of Certificate Transparency (google/certificate-transparency, merkle_tree_test.cc).
LEAVES = [
    bytes.fromhex(leaf)
    for leaf in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PATHS = [
    (0, 1, []),
    (
        0,
        8,
        [
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ],
    ),
    (
        5,
        8,
        [
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ],
    ),
    (2, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (
        1,
        5,
        [
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ],
    ),
]


def test_no_leaves_have_the_hash_of_nothing() -> None:
    assert merkle.root([]).hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


@pytest.mark.parametrize("size", range(1, 9))
def test_roots_are_those_of_certificate_transparency(size: int) -> None:
    assert merkle.root(LEAVES[:size]).hex() == ROOTS[size - 1]


@pytest.mark.parametrize(("index", "size", "path"), PATHS)
def test_paths_are_those_of_certificate_transparency(index: int, size: int, path: list[str]) -> None:
    found = merkle.inclusion_path(LEAVES[:size], index)
    assert [sibling.hex() for sibling in found] == path
    assert merkle.root_of_path(LEAVES[index], index=index, size=size, path=found).hex() == ROOTS[size - 1]


def test_the_root_of_a_period_of_readings_stays_what_it_is() -> None:
    readings = [b"%d" % (number * number) for number in range(900)]
    assert merkle.root(readings).hex() + "\n" == (GOLDEN / "merkle-root.txt").read_text()


def test_a_node_does_not_pass_for_a_leaf() -> None:
    left, right = (sha256(b"\x00" + leaf).digest() for leaf in LEAVES[:2])
    assert merkle.root([left + right]) != merkle.root(LEAVES[:2])


@pytest.mark.parametrize(("index", "size"), [(-1, 3), (3, 3), (0, 0), (0, -1)])
def test_a_place_outside_the_list_is_refused(index: int, size: int) -> None:
    with pytest.raises(ValueError, match=f"no leaf {index} among {size}"):
        merkle.root_of_path(b"", index=index, size=size, path=[])


@pytest.mark.parametrize("index", [-1, 8])
def test_there_is_no_path_for_a_leaf_outside_the_list(index: int) -> None:
    with pytest.raises(ValueError, match=f"no leaf {index} among 8"):
        merkle.inclusion_path(LEAVES, index)


@pytest.mark.parametrize(
    ("path", "what"),
    [
        ([], "too short"),
        ([bytes(32)] * 2, "too short"),
        ([bytes(32)] * 4, "too long"),
        ([bytes(32), bytes(31), bytes(33)], "hashes of 32 bytes"),
    ],
)
def test_a_path_of_another_shape_is_refused(path: list[bytes], what: str) -> None:
    with pytest.raises(ValueError, match=what):
        merkle.root_of_path(LEAVES[5], index=5, size=8, path=path)


@pytest.mark.parametrize("size", range(20))
@pytest.mark.parametrize("before", [0, 1, 6])
def test_a_frontier_grows_to_the_root_of_all_leaves(before: int, size: int) -> None:
    leaves = [b"%d" % number for number in range(size)]
    frontier = merkle.Frontier().extended(leaves[:before]).extended(leaves[before:])
    assert frontier.size == size
    assert frontier.root == merkle.root(leaves)


@pytest.mark.parametrize(("size", "peaks"), [(1, ()), (2, (bytes(32),) * 2), (-1, ()), (1, (bytes(31),))])
def test_a_frontier_of_another_shape_is_refused(size: int, peaks: tuple[bytes, ...]) -> None:
    with pytest.raises(ValueError, match="peak"):
        merkle.Frontier(size=size, peaks=peaks)


def test_ten_thousand_changed_paths_lead_elsewhere_and_every_untouched_one_to_the_root() -> None:
    chosen = random.Random(1)  # noqa: S311 -- repeatable
    for size in (1, 2, 3, 10, 500):
        leaves = [chosen.randbytes(32) for _ in range(size)]
        root = merkle.root(leaves)
        paths = [merkle.inclusion_path(leaves, index) for index in range(size)]
        for _ in range(2_000):
            index = chosen.randrange(size)
            path = paths[index]
            assert merkle.root_of_path(leaves[index], index=index, size=size, path=path) == root
            mutated = bytearray(leaves[index] + b"".join(path))
            mutated[chosen.randrange(len(mutated))] ^= 1 << chosen.randrange(8)
            leaf, *siblings = [bytes(mutated[start : start + 32]) for start in range(0, len(mutated), 32)]
            assert merkle.root_of_path(leaf, index=index, size=size, path=siblings) != root
