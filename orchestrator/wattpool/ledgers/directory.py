"""What lies in the directory of an embedded ledger, and who may write there.

`ledger.db` is the `wattpool.ledgers.store`; `lock` is held by the one writing process; `organisations/` holds per
organisation the certificates and keys of its authority (`ca`), its client and its peer. Since keys and private data are
in there, the directory is its owner's alone.
"""

import fcntl
import shutil
import sqlite3
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from cryptography import x509

from wattpool.durable import make_directory, move
from wattpool.ledgers.block import FORMAT_VERSION, Genesis, Installed, Malformed
from wattpool.ledgers.certificates import Authority, CertificateRefused, Identity, Member, Role, read_member
from wattpool.ledgers.port import ForeignLedger, LedgerDamaged, LedgerLocked
from wattpool.ledgers.store import Store

_AUTHORITY = "ca"


def create(  # noqa: PLR0913 -- what a ledger is made of
    directory: Path,
    *,
    community: str,
    chaincodes: Mapping[str, Installed],
    organisations: Sequence[str],
    client_attributes: Mapping[str, str],
    now_utc: int,
) -> None:
    """Lay out a new ledger in a directory that is empty or not there; it appears whole or not at all, and for good.

    The organisations' own clients are certified with `client_attributes`.

    Raises:
        ForeignLedger: if there is something in the directory already.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise ForeignLedger(f"{directory} is not an empty directory")
    make_directory(directory.parent)
    scratch = Path(tempfile.mkdtemp(prefix=f".{directory.name}.", dir=directory.parent))
    try:
        authorities = [Authority.create(msp_id, now_utc=now_utc) for msp_id in organisations]
        genesis = Genesis(
            community=community,
            organisations={one.msp_id: one.root.pem.decode() for one in authorities},
            chaincodes=chaincodes,
        )
        Store.create(database(scratch), genesis.encode())
        store = Store(database(scratch), read_only=False)
        for authority in authorities:
            _enrol_own(scratch, authority, store, client_attributes)
        store.close()
        move(scratch, directory)
    except BaseException:
        # The last step may fail when the ledger has its name.
        if scratch.exists():
            shutil.rmtree(scratch)
        raise


def read_genesis(directory: Path) -> Genesis:
    """Return whose ledger lies in `directory`.

    Raises:
        ForeignLedger: if there is none, or one of another format.
        LedgerDamaged: if there is one that cannot be read.
    """
    if not database(directory).is_file():
        raise ForeignLedger(f"{directory} is not a ledger")
    try:
        store = Store(database(directory), read_only=True)
        try:
            data = store.genesis()
        finally:
            store.close()
        if data is None:
            raise ForeignLedger(f"{database(directory)} is no file of a ledger")
        genesis = Genesis.decode(data)
    except sqlite3.DatabaseError as error:
        raise LedgerDamaged(f"the ledger in {directory} cannot be read: {error}") from error
    except Malformed as error:
        raise ForeignLedger(f"{directory} is a ledger of another format: {error}") from error
    if genesis.version != FORMAT_VERSION:
        raise ForeignLedger(f"{directory} is a ledger of format {genesis.version}, not {FORMAT_VERSION}")
    return genesis


def lock(directory: Path) -> IO[bytes]:
    """Return the open lock file, which keeps all other writers out until it is closed or the process ends.

    Raises:
        LedgerLocked: if another writer is there.
    """
    file = (directory / "lock").open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise LedgerLocked(f"the ledger in {directory} is open for writing already") from error
    return file


def database(directory: Path) -> Path:
    return directory / "ledger.db"


def load_authority(directory: Path, msp_id: str) -> Authority:
    """Return the certificate authority of an organisation.

    Raises:
        LedgerDamaged: if its key or certificate cannot be read; likewise below.
    """
    return Authority(msp_id=msp_id, root=_load(directory, msp_id, _AUTHORITY))


def load_identity(directory: Path, msp_id: str, role: Role) -> Identity:
    """Return the certificate and key of an organisation's own client or peer."""
    return _load(directory, msp_id, role.value)


def load_client(directory: Path, msp_id: str, root: x509.Certificate) -> Member:
    """Return what the certificate of an organisation's own client says; the key is not touched."""
    try:
        pem = (_home(directory, msp_id) / f"{Role.CLIENT.value}.pem").read_bytes()
        return read_member(pem, msp_id=msp_id, root=root)
    except (OSError, CertificateRefused) as error:
        raise LedgerDamaged(f"the certificate of {msp_id}'s client cannot be used: {error}") from error


def _load(directory: Path, msp_id: str, name: str) -> Identity:
    try:
        return Identity.load(_home(directory, msp_id), name)
    except (OSError, ValueError, TypeError) as error:
        raise LedgerDamaged(f"key or certificate of {msp_id}'s {name} cannot be read: {error}") from error


def _home(directory: Path, msp_id: str) -> Path:
    return directory / "organisations" / msp_id


def _enrol_own(directory: Path, authority: Authority, store: Store, client_attributes: Mapping[str, str]) -> None:
    home = _home(directory, authority.msp_id)
    home.mkdir(parents=True)
    authority.root.save(home, _AUTHORITY)
    for role in Role:
        attributes = client_attributes if role is Role.CLIENT else {}
        identity = authority.enrol(f"{role.value}.{authority.msp_id}", role=role, attributes=attributes)
        identity.save(home, role.value)
        store.add_certificate(identity.fingerprint, authority.msp_id, identity.pem)
