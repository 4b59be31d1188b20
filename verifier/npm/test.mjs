// Run by the tests of cairn-verifier: node npm/test.mjs CASES.json. Each case is a bundle in some form, a genesis hash,
// and the report that the native verifier makes of it.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { load, verify } from './index.mjs';

const cases = JSON.parse(await readFile(process.argv[2], 'utf8'));
assert.ok(cases.length > 0);
const check = await load();
for (const { name, bundle, genesis, report } of cases) {
	const bytes = Uint8Array.from(Buffer.from(bundle.slice(2), 'hex'));
	for (const form of [bytes, bytes.buffer, bundle, { bundle }]) {
		assert.deepEqual(await verify(form, genesis), report, name);
	}
	assert.deepEqual(check(bytes, Uint8Array.from(Buffer.from(genesis.slice(2), 'hex'))), report, name);
}

for (const genesis of ['0x12', 'zz'.repeat(32), new Uint8Array(31), null]) {
	assert.throws(() => check(new Uint8Array(1), genesis), TypeError);
}
for (const bundle of [null, 7, undefined]) {
	assert.throws(() => check(bundle, cases[0].genesis), TypeError);
}
console.log(`${cases.length} cases`);
