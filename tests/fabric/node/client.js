// The official Gateway client, driven by jobs: one JSON object a line on standard input, one answer a line back.
'use strict';

const crypto = require('node:crypto');
const fs = require('node:fs');
const readline = require('node:readline');
const grpc = require('@grpc/grpc-js');
const { connect, hash, signers } = require('@hyperledger/fabric-gateway');
const { p256 } = require('@noble/curves/nist.js');

const utf8 = new TextDecoder();

// The client's own signer is written in JavaScript and takes more time than all else it does. Where the client is there to
// load a chaincode, Node's own OpenSSL signs instead.
function signing(key, native) {
  if (native) {
    return { signer: async (message) => withLowS(crypto.sign('sha256', message, key)), hash: hash.none };
  }
  return { signer: signers.newPrivateKeySigner(key), hash: hash.sha256 };
}

// Fabric takes only the lower of the two values of s that fit (bccsp/utils/ecdsa.go).
function withLowS(signature) {
  const s = p256.Signature.fromBytes(signature, 'der');
  return s.hasHighS() ? new p256.Signature(s.r, p256.Point.Fn.neg(s.s)).toBytes('der') : signature;
}

function open(access) {
  const client = new grpc.Client(access.peer, grpc.credentials.createSsl(fs.readFileSync(access.tls_root)));
  const gateway = connect({
    client,
    identity: { mspId: access.msp_id, credentials: fs.readFileSync(access.certificate) },
    ...signing(crypto.createPrivateKey(fs.readFileSync(access.key)), access.native_signing),
  });
  return { client, gateway };
}

// Run the job's calls, so many at a time, and tell how long they took and what each answered.
async function run(gateway, job) {
  const contract = gateway.getNetwork(job.channel).getContract(job.chaincode);
  const act = job.verb === 'submit' ? 'submitTransaction' : 'evaluateTransaction';
  const results = [];
  let next = 0;
  async function work() {
    while (next < job.calls.length) {
      const place = next++;
      results[place] = utf8.decode(await contract[act](...job.calls[place]));
    }
  }
  const started = process.hrtime.bigint();
  await Promise.all(Array.from({ length: job.in_flight }, work));
  return { seconds: Number(process.hrtime.bigint() - started) / 1e9, results };
}

async function events(gateway, job) {
  const network = gateway.getNetwork(job.channel);
  const stream = await network.getChaincodeEvents(job.chaincode, { startBlock: BigInt(job.start_block) });
  const seen = [];
  try {
    for await (const event of stream) {
      seen.push({ name: event.eventName, payload: utf8.decode(event.payload), transaction_id: event.transactionId });
      if (seen.length === job.count) {
        break;
      }
    }
  } finally {
    stream.close();
  }
  return { events: seen };
}

// What a caller gets to read of an error: its own words, and those of the peers.
function describe(error) {
  const told = (error.details ?? []).map((detail) => detail.message);
  return { error: error.name, message: [error.message, ...told].join('; ') };
}

async function main() {
  const { client, gateway } = open(JSON.parse(process.argv[2]));
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const job = JSON.parse(line);
    const answer = await (job.verb === 'events' ? events : run)(gateway, job).catch(describe);
    process.stdout.write(`${JSON.stringify(answer)}\n`);
  }
  gateway.close();
  client.close();
}

main();
