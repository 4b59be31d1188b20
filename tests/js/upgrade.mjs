// A runtime upgrade by referendum: the DAO authorises a hash, anyone submits the code, and a round that runs meanwhile
// is finished by the new runtime.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { blake2AsHex } from '@polkadot/util-crypto';
import { CRN, account, ayes, connect, enact, height, nextBlock, refused, say, send, waitFor } from './lib.mjs';

const [alice, bob, charlie, dave, eve] = ['//Alice', '//Bob', '//Charlie', '//Dave', '//Eve'].map(account);

const ofFirst = ({ section, data }) => section === 'training' && data.programme?.toNumber() === 0;

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
export async function upgrade(api, url, file) {
	const code = await read(file);
	const before = await version(api);
	await refused(api, api.tx.system.applyAuthorizedUpgrade('0x00'), eve, /Unauthorized/);

	// Somebody's update waits in a round when the new runtime takes over.
	const start = await height(api);
	await waitFor(api, 'an update', start, 100, (event) => ofFirst(event) && event.method === 'UpdateCommitted');
	await send(api, api.tx.system.applyAuthorizedUpgrade(code), eve);
	const last = await taken(api, before);

	// When the library hears of a new runtime, it changes the types that it reads with where they are; what it is reading
	// at that moment, it may read wrongly. A connection that is made now begins with the new ones.
	const since = await connect(url);
	const { left, round, number } = await finished(since, last);
	await since.disconnect();
	const applied = last.number.toNumber() + 1;
	const became = `version ${before} became ${before + 1} in block ${applied}, in round ${left}`;
	say(`${became}; round ${round} was finalised in block ${number}`);
}

// Of the newest block, or of a given one.
const version = async (api, ...at) => (await api.rpc.state.getRuntimeVersion(...at)).specVersion.toNumber();

// Waits until the next version is final, and finds the last block that was left to it by the version before.
async function taken(api, before) {
	let hash = await api.rpc.chain.getFinalizedHead();
	for (let waited = 0; (await version(api, hash)) === before; waited++) {
		assert.ok(waited < 40, 'the new runtime took over');
		await nextBlock(api);
		hash = await api.rpc.chain.getFinalizedHead();
	}
	for (;;) {
		assert.equal(await version(api, hash), before + 1);
		const { parentHash } = await api.rpc.chain.getHeader(hash);
		if ((await version(api, parentHash)) === before) {
			return api.rpc.chain.getHeader(parentHash);
		}
		hash = parentHash;
	}
}

// What has become of the round that the old runtime had left to the new one.
async function finished(api, last) {
	const running = await (await api.at(last.hash)).call.trainingApi.currentRound(0);
	const left = running.unwrap().index.toNumber();
	// On a machine that has more to do than it can, windows are missed, and a later round is finalised.
	const late = (event) =>
		event.method === 'RoundFailed' &&
		['TooFewCommits', 'TooFewIncluded', 'NoAgreement'].includes(event.data.reason.toString());
	const { number, event } = await waitFor(
		api,
		`the end of round ${left}, or of one after it that nobody was late for,`,
		last.number.toNumber(),
		400,
		(event) =>
			ofFirst(event) &&
			['RoundFinalised', 'RoundFailed'].includes(event.method) &&
			event.data.round.toNumber() >= left &&
			!late(event)
	);
	assert.equal(event.method, 'RoundFinalised', `round ${event.data.round}: ${event.data}`);
	return { left, round: event.data.round.toNumber(), number };
}
