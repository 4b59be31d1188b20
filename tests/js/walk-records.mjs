// How long polkadot.js takes to find the newest updates of a device by what a node stores, without the methods that are
// made for the question: batch by batch from the newest, each read from the offchain index and decoded.
//
// usage: node walk-records.mjs WS_URL DEVICE COUNT PASSES
// The node must serve unsafe methods: there is no safe one that reads the offchain index.

import assert from 'node:assert/strict';
import { u8aConcat, stringToU8a, u8aToHex } from '@polkadot/util';
import { connect } from './lib.mjs';

const [url, device, count, passes] = process.argv.slice(2);
const api = await connect(url);
// The start of a programme is in state, so the metadata knows what a record is.
const { value } = api.query.provenance.startRecords.creator.meta.type.asMap;
const Records = api.registry.createLookupType(value);

async function newest() {
	const batches = (await api.query.provenance.batches.entries())
		.map(([key, batch]) => ({ id: key.args[0].toNumber(), batch: batch.unwrap() }))
		.sort((a, b) => b.id - a.id);
	const found = [];
	for (const { batch } of batches) {
		if (batch.round.isNone) {
			continue;
		}
		const key = u8aToHex(u8aConcat(stringToU8a('cairn/batch/'), batch.root.toU8a()));
		const stored = await api.rpc.offchain.localStorageGet('PERSISTENT', key);
		assert.ok(stored.isSome, `the node has no batch ${batch.root}`);
		const records = api.registry.createType(Records, stored.unwrap().toU8a(true));
		for (let place = records.length - 1; place >= 0; place--) {
			const made = records[place].device;
			if (made.isSome && made.unwrap().eq(device)) {
				found.push(batch.first.toNumber() + place);
				if (found.length === Number(count)) {
					return found;
				}
			}
		}
	}
	return found;
}

const milliseconds = [];
let records;
for (let pass = 0; pass < Number(passes); pass++) {
	const start = performance.now();
	records = await newest();
	milliseconds.push(performance.now() - start);
}
console.log(JSON.stringify({ records, milliseconds }));
await api.disconnect();
