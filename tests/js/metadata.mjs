// What polkadot.js Apps looks for before it shows a page, and what no Cairn chain may have.
//
// usage: node metadata.mjs WS_URL

import assert from 'node:assert/strict';
import { connect, say } from './lib.mjs';

const api = await connect(process.argv[2]);

const pages = {
	Referenda: () => [
		api.tx.referenda.submit,
		api.tx.convictionVoting.vote,
		api.consts.referenda.tracks,
		api.query.referenda.referendumInfoFor,
	],
	Preimages: () => [api.query.preimage.statusFor, api.tx.preimage.notePreimage],
	Scheduler: () => [api.query.scheduler.agenda],
	'Tech. comm.': () => [
		api.query.technicalCommittee.members,
		api.query.technicalCommittee.prime,
		api.query.technicalCommittee.proposals,
	],
	Whitelist: () => [api.tx.whitelist.removeWhitelistedCall, api.query.whitelist.whitelistedCall],
	Treasury: () => [api.query.treasury.proposals, api.query.treasury.spends, api.tx.treasury.spend],
	Accounts: () => [api.tx.balances.transferKeepAlive, api.tx.proxy.addProxy, api.tx.multisig.asMulti],
	Staking: () => [api.query.session.validators, api.tx.session.setKeys],
};
for (const [page, needs] of Object.entries(pages)) {
	for (const [i, found] of needs().entries()) {
		assert.ok(found, `the page ${page} needs its entry number ${i}`);
	}
}

const names = api.runtimeMetadata.asLatest.pallets.map(({ name }) => name.toString());
assert.ok(!names.some((name) => /sudo/i.test(name)), `no key above the DAO: ${names}`);

// The tracks are what the DAO's handbook says, and none can be passed by nobody.
const tracks = api.consts.referenda.tracks.map(([id, { name }]) => [id.toNumber(), name.toString().replace(/\0/g, '')]);
assert.deepEqual(tracks, [
	[0, 'root'],
	[1, 'whitelisted_caller'],
	[10, 'programme_admin'],
	[11, 'policy_admin'],
	[12, 'treasurer'],
	[13, 'registry_admin'],
	[20, 'safety_stop'],
]);
for (const [id, { minApproval, minSupport }] of api.consts.referenda.tracks) {
	for (const curve of [minApproval, minSupport]) {
		if (curve.isLinearDecreasing) {
			assert.ok(curve.asLinearDecreasing.floor.toNumber() > 0, `track ${id}`);
		} else {
			assert.ok(curve.isReciprocal, `track ${id}`);
		}
	}
}

// Properties that wallets show amounts and addresses with.
assert.equal(api.registry.chainSS58, 42);
assert.deepEqual(api.registry.chainTokens, ['CRN']);
assert.deepEqual(api.registry.chainDecimals, [12]);

// Every error explains itself, because wallets print these lines.
const ours = ['provenance', 'hardware', 'governance', 'training', 'rewards'];
const unexplained = ours.flatMap((section) =>
	Object.entries(api.errors[section] ?? {})
		.filter(([, error]) => error.meta.docs.join(' ').trim().length <= 20)
		.map(([name]) => `${section}.${name}`)
);
assert.deepEqual(unexplained, [], 'errors without cause and remedy');

// Queries are runtime APIs, so they come with the metadata and need no types.
for (const call of ['trainingApi', 'provenanceApi', 'hardwareApi', 'rewardsApi', 'governanceApi']) {
	assert.ok(api.call[call], `api.call.${call}`);
}

say(`${names.length} pallets; every page of Apps has what it looks for`);
await api.disconnect();
