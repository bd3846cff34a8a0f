from fabric_gateway import *
async def test_x(peer, member):
    async with Connection.open(peer.address) as c:
        g = Gateway(c, member.identity, member.signer)
        k = g.network("channel").contract("basic")
        assert await k.evaluate("echo", "a") == b"echo|a"
        r = await k.submit("write", "a")
        assert r.result == b"wrote a"
        s = await g.network("channel").chaincode_events("basic", start_block=0)
        async for e in s:
            print(e); break
        s.close()
        bs = await g.network("channel").block_events(start_block=0, stop_block=0)
        assert [b.header.number async for b in bs] == [0]
