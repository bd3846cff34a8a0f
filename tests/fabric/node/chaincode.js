// The contract of fabric_shim/example.py on the official shim, and what else its tests ask for.
'use strict';

// Before the shim is loaded: a line of log for each transaction would be unfair to it.
process.env.CORE_CHAINCODE_LOGGING_LEVEL = 'ERROR';
const shim = require('fabric-shim');

const PRIVATE = 'secrets';

async function readState(stub, asset) {
  const state = await stub.getState(asset);
  if (state.length === 0) {
    throw new Error(`asset ${asset} does not exist`);
  }
  return JSON.parse(state.toString());
}

function write(stub, asset, owner, value) {
  return stub.putState(asset, Buffer.from(JSON.stringify({ owner, value })));
}

const functions = {
  async create(stub, asset, value) {
    if ((await stub.getState(asset)).length > 0) {
      throw new Error(`asset ${asset} exists`);
    }
    await write(stub, asset, new shim.ClientIdentity(stub).getID(), JSON.parse(value));
  },

  async transfer(stub, asset, owner) {
    const before = await readState(stub, asset);
    if (before.owner !== new shim.ClientIdentity(stub).getID()) {
      throw new Error(`asset ${asset} belongs to somebody else`);
    }
    await write(stub, asset, owner, before.value);
    stub.setEvent('transferred', Buffer.from(asset));
  },

  async read(stub, asset) {
    return JSON.stringify(await readState(stub, asset));
  },

  async inventory(stub) {
    const names = [];
    for await (const entry of stub.getStateByRange('', '')) {
      names.push(entry.key);
    }
    return JSON.stringify(names);
  },

  async keep(stub, asset) {
    await stub.putPrivateData(PRIVATE, asset, stub.getTransient().get('secret'));
  },

  async reveal(stub, asset) {
    return stub.getPrivateData(PRIVATE, asset);
  },

  async 'bench:nothing'() {},

  async 'bench:worth'(stub, assets) {
    const names = JSON.parse(assets);
    // Where the shim can read many keys in one message, it may.
    const states = await (stub.getMultipleStates
      ? stub.getMultipleStates(...names)
      : Promise.all(names.map((asset) => stub.getState(asset))));
    return JSON.stringify(states.reduce((total, state) => total + JSON.parse(state.toString()).value, 0));
  },
};

class Assets {
  async Init() {
    return shim.success();
  }

  async Invoke(stub) {
    const { fcn, params } = stub.getFunctionAndParameters();
    try {
      if (!Object.hasOwn(functions, fcn)) {
        throw new Error(`this chaincode has no function ${fcn}`);
      }
      const result = await functions[fcn](stub, ...params);
      return shim.success(Buffer.from(result ?? ''));
    } catch (error) {
      return shim.error(error.message);
    }
  }
}

const server = shim.server(new Assets(), {
  ccid: process.env.CHAINCODE_ID,
  address: process.env.CHAINCODE_SERVER_ADDRESS,
});
process.on('SIGTERM', () => process.exit(0));
server.start();
