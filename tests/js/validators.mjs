// The DAO changes the validator set, twice; finality goes on through it.

import assert from 'node:assert/strict';
import { CRN, account, ayes, connect, enact, finalHeight, nextBlock, refused, say, send, waitFor } from './lib.mjs';

export async function validators(api, newcomerUrl) {
	const newcomer = await connect(newcomerUrl);
	const [alice, bob, charlie, dave] = ['//Alice', '//Bob', '//Charlie', '//Dave'].map(account);
	const voters = [alice, bob, charlie, dave];
	const propose = (validators) => ({
		proposer: alice,
		origin: { Origins: 'RegistryAdmin' },
		call: api.tx.governance.setValidators(validators),
		votes: ayes(voters, 800_000n * CRN),
	});

	const before = (await api.query.session.validators()).map(String);
	assert.equal(before.length, 3);
	assert.ok(!before.includes(dave.address));

	// Somebody without session keys would be a validator that never makes a block. Beside the rest, because a vote takes its
	// time.
	const mistake = enact(api, propose([...before, account('//Eve').address]));

	// Dave comes, Charlie goes.
	const second = [...before.filter((address) => address !== charlie.address), dave.address];
	let since;
	const first = async () => {
		// The newcomer makes keys on its own node and binds them to its account.
		const { keys, proof } = await newcomer._rpcCore.provider.send('author_rotateKeysWithOwner', [
			`0x${Buffer.from(dave.publicKey).toString('hex')}`,
		]);
		await refused(api, api.tx.session.setKeys(keys, '0x'), dave, /InvalidProof|session\./);
		await send(api, api.tx.session.setKeys(keys, proof), dave);
		since = await change(api, [api, newcomer], propose(second), second, dave.address);
	};
	await Promise.all([assert.rejects(mistake, /governance\./), first()]);

	// What is recorded from now on until the next change has one hand-over between itself and genesis: proofs.rs asks.
	await waitFor(
		api,
		'a round of programme 0 under the second set',
		since,
		200,
		({ section, method, data }) =>
			section === 'training' && method === 'RoundFinalised' && data.programme.toNumber() === 0
	);

	// Charlie comes back; its session keys were kept.
	const third = [...second, charlie.address];
	await change(api, [api, newcomer], propose(third), third, charlie.address);
	await newcomer.disconnect();
}

// Enacts a change of the set. It has happened once `newcomer` has made a block and both nodes know the block as final. A
// block from which on the set is the new one.
async function change(api, nodes, proposal, wanted, newcomer) {
	const setBefore = (await api.call.grandpaApi.currentSetId()).toNumber();
	const { number } = await enact(api, proposal);
	const deadline = number + 100;
	let authored = false;
	let since;
	for (;;) {
		await nextBlock(api);
		const head = (await api.rpc.chain.getHeader()).number.toNumber();
		const validators = (await api.query.session.validators()).map(String);
		if (validators.includes(newcomer)) {
			assert.deepEqual([...validators].sort(), [...wanted].sort());
			// The block that was asked may be the one after `head`.
			since ??= head + 1;
			const header = await api.derive.chain.getHeader(await api.rpc.chain.getBlockHash());
			authored ||= header.author?.toString() === newcomer;
			if (authored) {
				break;
			}
		}
		assert.ok(head < deadline, `${newcomer} made no block within ${deadline - number} blocks`);
	}
	const set = (await api.call.grandpaApi.currentSetId()).toNumber();
	assert.equal(set, setBefore + 1, 'one hand-over of GRANDPA, as the session brought it');
	assert.ok((await api.query.grandpa.stalled()).isNone, 'GRANDPA was not forced');

	// Both the old nodes and the new one finalise what the new set made.
	const target = (await api.rpc.chain.getHeader()).number.toNumber();
	for (const node of nodes) {
		for (let waited = 0; ; waited++) {
			const final = await finalHeight(node);
			if (final >= target) {
				break;
			}
			assert.ok(waited < 40, `block ${target} was not finalised; the last one is ${final}`);
			await nextBlock(api);
		}
	}
	say(`the set changed to ${wanted.length} validators, block ${target} is final under set ${set}`);
	return since;
}
