// What docs/examples/provenance.mjs says of the provenance_* methods, compared with what a node has and answers: both have
// the same methods, and of no answer a part is lost.
//
// usage: node definitions.mjs WS_URL ARTIFACT ACCOUNT

import assert from 'node:assert/strict';
import { ApiPromise, WsProvider } from '@polkadot/api';
import { rpc, types } from '../../docs/examples/provenance.mjs';
import { say } from './lib.mjs';

const [url, artifact, account] = process.argv.slice(2);
const provider = new WsProvider(url);
const api = await ApiPromise.create({ provider, rpc, types, noInitWarn: true, throwOnConnect: true });
const defined = rpc.provenance;

const there = (await api.rpc.rpc.methods()).methods
	.map(String)
	.filter((name) => name.startsWith('provenance_'))
	.map((name) => name.replace('provenance_', ''));
const known = Object.entries(defined).flatMap(([name, { pubsub }]) => (pubsub ? pubsub.slice(1) : [name]));
assert.deepEqual(there.sort(), known.sort(), 'the node has other methods than are defined');

// The decoded value says what the JSON says, all of it.
function same(raw, decoded, where) {
	const value = decoded?.isSome ? decoded.unwrap() : decoded;
	if (raw === null) {
		assert.ok(decoded?.isNone, `${where} is null, read as ${decoded}`);
	} else if (Array.isArray(raw)) {
		assert.equal(value.length, raw.length, where);
		raw.forEach((item, i) => same(item, value[i], `${where}[${i}]`));
	} else if (typeof raw === 'object' && value.isBasic !== undefined) {
		const [[variant, inner], ...others] = Object.entries(raw);
		assert.deepEqual([others, value.type.toLowerCase()], [[], variant.toLowerCase()], where);
		same(inner, value.inner, `${where}.${variant}`);
	} else if (typeof raw === 'object') {
		for (const [key, inner] of Object.entries(raw)) {
			assert.notEqual(value.get(key), undefined, `${where}.${key} is not defined`);
			same(inner, value.get(key), `${where}.${key}`);
		}
	} else if (value.isBasic !== undefined) {
		assert.equal(value.type.toLowerCase(), raw.toLowerCase(), where);
	} else {
		const read = /^0x/.test(raw) ? value.toHex() : value.toString();
		assert.equal(read, String(raw), where);
	}
}

// All at one block, so that nothing changes between two calls. The node's index may not have come to the newest.
const at = (await api.rpc.chain.getHeader(await api.rpc.chain.getFinalizedHead())).parentHash.toHex();
const { id, record } = await provider.send('provenance_recordByArtifact', [artifact, at]);
const update = await provider.send('provenance_record', [record.inputs.first, at]);
const { device } = update.record;
const { site } = await provider.send('provenance_device', [device, at]);
const nobody = `0x${'07'.repeat(32)}`;
const pages = [null, 2];
const calls = {
	programmes: [],
	programme: [record.programme],
	currentRound: [record.programme],
	round: [record.programme, record.round],
	rounds: [record.programme, 'finalised', ...pages],
	record: [id],
	recordByArtifact: [artifact],
	recordProof: [update.id],
	recordsByDevice: [device, ...pages],
	recordsBySite: [site, ...pages],
	recordsByAccount: [update.record.producer, ...pages],
	lineage: [artifact, ...pages],
	descendants: [update.record.artifact, ...pages],
	prove: [artifact],
	proveAbsence: [nobody],
	rewards: [record.programme, account],
	device: [device],
	site: [site],
};
const asked = Object.keys(defined).filter((name) => !defined[name].pubsub);
for (const name of asked) {
	// A proof goes to a justification, of which there can be another at each call, so it is asked for only once.
	const isProof = defined[name].type === 'ProvenanceProof';
	const takesBlock = !isProof && defined[name].params.some((parameter) => parameter.name === 'at');
	const given = [...calls[name], ...(takesBlock ? [at] : [])];
	const raw = await provider.send(`provenance_${name}`, given);
	same(raw, isProof ? api.createType(defined[name].type, raw) : await api.rpc.provenance[name](...given), name);
}
// From a record on that is there, so that the first message comes at once.
const first = await new Promise((resolve, reject) => {
	const late = setTimeout(() => reject(new Error('subscribeRecords: no message within 60 s')), 60_000);
	const told = (message) => {
		clearTimeout(late);
		resolve(message);
	};
	api.rpc.provenance.subscribeRecords(record.programme, id, told).catch(reject);
});
same({ id, record }, first.records[0], 'subscribeRecords');
assert.ok(first.next.toNumber() > id && first.block.number.toNumber() >= record.block, `${first}`);
say(`${asked.length} provenance_* methods are what their definitions say`);
await api.disconnect();
