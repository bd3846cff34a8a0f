"""Our Gateway client, driven by the same jobs as the official one (tests/fabric/node/client.js)."""

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from fabric_gateway import Connection, Gateway, Identity, PrivateKeySigner, Tls


def main() -> None:
    """Do one job a line of standard input."""
    access = json.loads(sys.argv[1])
    identity = Identity(msp_id=access["msp_id"], certificate_pem=Path(access["certificate"]).read_bytes())
    signer = PrivateKeySigner.load(Path(access["key"]).read_bytes())
    tls = Tls(root_pem=Path(access["tls_root"]).read_bytes())
    asyncio.run(_work(access["peer"], tls, identity, signer))


async def _work(peer: str, tls: Tls, identity: Identity, signer: PrivateKeySigner) -> None:
    async with Connection.open(peer, tls=tls) as connection:
        gateway = Gateway(connection, identity, signer)
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await _run(gateway, json.loads(line))), flush=True)


async def _run(gateway: Gateway, job: dict[str, Any]) -> dict[str, Any]:
    contract = gateway.network(job["channel"]).contract(job["chaincode"])
    calls = job["calls"]
    results = [""] * len(calls)
    places = iter(range(len(calls)))

    async def work() -> None:
        for place in places:
            if job["verb"] == "submit":
                result = (await contract.submit(*calls[place])).result
            else:
                result = await contract.evaluate(*calls[place])
            results[place] = result.decode()

    started = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(job["in_flight"])))
    return {"seconds": time.perf_counter() - started, "results": results}


if __name__ == "__main__":
    main()
