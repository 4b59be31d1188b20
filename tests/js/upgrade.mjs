// A runtime upgrade by referendum: the DAO authorises a hash, anyone submits the code, and a round that runs meanwhile
// is finished by the new runtime.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { blake2AsHex } from '@polkadot/util-crypto';
import { CRN, account, ayes, enact, height, nextBlock, refused, say, send, waitFor } from './lib.mjs';

const [alice, bob, charlie, dave, eve] = ['//Alice', '//Bob', '//Charlie', '//Dave', '//Eve'].map(account);

const read = async (file) => `0x${(await readFile(file)).toString('hex')}`;

// The vote. Nothing changes by it but that this very code may be submitted.
export async function authorise(api, file) {
	const code = await read(file);
	// Code that nobody authorised is nobody's upgrade.
	await refused(api, api.tx.system.applyAuthorizedUpgrade(code), eve, /NothingAuthorized/);
	await enact(api, {
		proposer: alice,
		origin: { system: 'Root' },
		call: api.tx.system.authorizeUpgrade(blake2AsHex(code, 256)),
		votes: ayes([alice, bob, charlie, dave], 800_000n * CRN),
	});
}

// The upgrade itself, in the middle of a round.
export async function upgrade(api, file) {
	const code = await read(file);
	const version = async () => (await api.rpc.state.getRuntimeVersion()).specVersion.toNumber();
	const before = await version();
	await refused(api, api.tx.system.applyAuthorizedUpgrade('0x00'), eve, /Unauthorized/);

	// Somebody's update waits in a round when the new runtime takes over.
	const start = await height(api);
	const ofFirst = ({ section, data }) => section === 'training' && data.programme?.toNumber() === 0;
	await waitFor(api, 'an update', start, 100, (event) => ofFirst(event) && event.method === 'UpdateCommitted');
	const { block } = await send(api, api.tx.system.applyAuthorizedUpgrade(code), eve);
	const header = await api.rpc.chain.getHeader(block);
	const applied = header.number.toNumber();
	// The round that the old runtime has left to the new one.
	const running = (await api.at(header.parentHash)).call.trainingApi.currentRound(0);
	const round = (await running).unwrap().index.toNumber();
	for (let waited = 0; (await version()) === before; waited++) {
		assert.ok(waited < 10, 'the new runtime took over');
		await nextBlock(api);
	}
	assert.equal(await version(), before + 1);
	// On a machine that has more to do than it can, windows are missed, and a later round is finalised.
	const late = (event) =>
		event.method === 'RoundFailed' &&
		['TooFewCommits', 'TooFewIncluded', 'NoAgreement'].includes(event.data.reason.toString());
	const { number, event } = await waitFor(
		api,
		`the end of round ${round}, or of one after it that nobody was late for,`,
		applied,
		400,
		(event) =>
			ofFirst(event) &&
			['RoundFinalised', 'RoundFailed'].includes(event.method) &&
			event.data.round.toNumber() >= round &&
			!late(event)
	);
	assert.equal(event.method, 'RoundFinalised', `round ${event.data.round}: ${event.data}`);
	const finalised = `round ${event.data.round} was finalised in block ${number}`;
	say(`version ${before} became ${await version()} in block ${applied}, in round ${round}; ${finalised}`);
}
