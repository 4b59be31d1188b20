// What a DAO member does in polkadot.js Apps, step by step, with the same library and no types of our own.

import assert from 'node:assert/strict';
import { ApiPromise, Keyring, WsProvider } from '@polkadot/api';
import { compactAddLength, stringToU8a, u8aConcat } from '@polkadot/util';
import { blake2AsHex } from '@polkadot/util-crypto';

export const CRN = 1_000_000_000_000n;

export const say = (...words) => console.log(new Date().toISOString().slice(11, 19), ...words);

export async function connect(url) {
	return ApiPromise.create({ provider: new WsProvider(url), noInitWarn: true, throwOnConnect: true });
}

export function account(suri) {
	return new Keyring({ type: 'sr25519', ss58Format: 42 }).addFromUri(suri);
}

// The names of a dispatch error, as wallets print them.
export function explain(api, error) {
	if (error.isModule) {
		const { section, name, docs } = api.registry.findMetaError(error.asModule);
		return `${section}.${name}: ${docs.join(' ')}`;
	}
	return error.toString();
}

// The next nonce of each account. Counted here, because several votes go on at the same time with the same accounts.
const nonces = new Map();
async function nextNonce(api, { address }) {
	const before = nonces.get(address) ?? api.rpc.system.accountNextIndex(address).then((n) => n.toNumber() - 1);
	const next = before.then((n) => n + 1);
	nonces.set(address, next);
	return next;
}

// A chain makes a block every few seconds. What takes longer than this never comes: the chain stands still, or the
// connection that would have told was lost.
const PATIENCE = 120_000;

// `start` gets the resolve and reject of a promise, which is rejected when neither was called in time. `state` says how
// far it had come.
async function inTime(what, state, start) {
	let timer;
	const late = new Promise((_, reject) => {
		timer = setTimeout(() => reject(new Error(`${what}: nothing for ${PATIENCE / 1000} s (${state()})`)), PATIENCE);
	});
	try {
		return await Promise.race([new Promise(start), late]);
	} finally {
		clearTimeout(timer);
	}
}

// Signs, sends, and waits for the block that holds it. Rejects when the call failed. The chain may yet choose another
// block, which holds it elsewhere; whoever needs to know what it was answered, and others call the same, waits until it is
// `final`.
export async function send(api, call, signer, final = false) {
	const nonce = await nextNonce(api, signer);
	const { section, method } = api.registry.findMetaCall(call.callIndex);
	let last = 'not sent';
	return inTime(`${section}.${method} of ${signer.address}, nonce ${nonce}`, () => last, (resolve, reject) => {
		let stop;
		call.signAndSend(signer, { nonce }, ({ status, events, dispatchError, internalError, isError }) => {
			last = status.type;
			// The last word, unless another block is chosen.
			if (dispatchError && !(final && status.isInBlock)) {
				stop?.();
				reject(new Error(explain(api, dispatchError)));
			} else if ((status.isInBlock && !final) || status.isFinalized) {
				// The library skips `InBlock` when the block is final before its events are read.
				const block = status.isInBlock ? status.asInBlock : status.asFinalized;
				stop?.();
				resolve({ block: block.toHex(), events: events.map(({ event }) => event) });
			} else if (isError) {
				stop?.();
				reject(new Error(`the transaction ended as ${status.type}`));
			} else if (internalError) {
				// The library's own, after which it tells nothing more.
				stop?.();
				reject(internalError);
			}
		}).then((unsubscribe) => (stop = unsubscribe), reject);
	});
}

// The call must fail, and with this error.
export async function refused(api, call, signer, expected) {
	await assert.rejects(send(api, call, signer), (error) => {
		assert.match(error.message, expected);
		return true;
	});
}

export function only(events, section, method) {
	const found = events.filter((event) => event.section === section && event.method === method);
	assert.equal(found.length, 1, `one ${section}.${method} among ${events.map((e) => `${e.section}.${e.method}`)}`);
	return found[0].data;
}

// Every event of the chain from block `from` on, in order, without end. Of final blocks only: on a machine that has more
// to do than it can, blocks come late and others take their place.
export async function* history(api, from) {
	let final = 0;
	for (let number = from; ; number++) {
		while (final < number) {
			final = await finalHeight(api);
			if (final < number) {
				await nextBlock(api);
			}
		}
		const hash = await api.rpc.chain.getBlockHash(number);
		for (const { event } of await (await api.at(hash)).query.system.events()) {
			yield { number, event };
		}
	}
}

export async function nextBlock(api) {
	const start = (await api.rpc.chain.getHeader()).number.toNumber();
	await inTime(`a block after ${start}`, () => `connected: ${api.isConnected}`, (resolve, reject) => {
		let stop;
		api.rpc.chain
			.subscribeNewHeads((head) => {
				if (head.number.toNumber() > start) {
					stop?.();
					resolve();
				}
			})
			.then((unsubscribe) => (stop = unsubscribe), reject);
	});
}

export const height = async (api) => (await api.rpc.chain.getHeader()).number.toNumber();

export const finalHeight = async (api) => {
	const { number } = await api.rpc.chain.getHeader(await api.rpc.chain.getFinalizedHead());
	return number.toNumber();
};

// The first event from block `from` on for which `matches` holds; gives up after `blocks` blocks.
export async function waitFor(api, what, from, blocks, matches) {
	for await (const { number, event } of history(api, from)) {
		if (number > from + blocks) {
			throw new Error(`${what} did not happen within ${blocks} blocks from ${from}`);
		}
		if (matches(event)) {
			return { number, event };
		}
	}
}

// Notes the preimage of a call, submits it to the track of `origin`, places the decision deposit and votes.
export async function propose(api, { proposer, origin, call, votes }) {
	const bytes = call.method.toU8a();
	const hash = blake2AsHex(bytes, 256);
	// An earlier proposal of the same call may have left it there.
	if ((await api.query.preimage.preimageFor([hash, bytes.length])).isNone) {
		await send(api, api.tx.preimage.notePreimage(call.method.toHex()), proposer);
	}
	const { events } = await send(
		api,
		api.tx.referenda.submit(origin, { Lookup: { hash, len: bytes.length } }, { After: 1 }),
		proposer,
		// Others submit at the same time, and what is voted on must not become another's.
		true
	);
	const index = only(events, 'referenda', 'Submitted').index.toNumber();
	await send(api, api.tx.referenda.placeDecisionDeposit(index), proposer);
	await Promise.all(
		votes.map(({ voter, aye, conviction, balance }) =>
			send(api, api.tx.convictionVoting.vote(index, { Standard: { vote: { aye, conviction }, balance } }), voter)
		)
	);
	return index;
}

// Waits until a referendum is over and says how it ended.
export async function outcome(api, index, from) {
	const { number, event } = await waitFor(
		api,
		`the end of referendum ${index}`,
		from,
		400,
		({ section, method, data }) =>
			section === 'referenda' &&
			['Confirmed', 'Rejected', 'TimedOut', 'Cancelled', 'Killed'].includes(method) &&
			data.index.toNumber() === index
	);
	return { number, ended: event.method };
}

// The name under which the scheduler has the enactment of a referendum.
function enactment(api, index) {
	const name = u8aConcat(
		stringToU8a('assembly'),
		compactAddLength(stringToU8a('enactment')),
		api.registry.createType('u32', index).toU8a()
	);
	return blake2AsHex(name, 256);
}

// Proposes, waits for confirmation and enactment, and returns the events of the block that enacted it.
export async function enact(api, proposal) {
	const from = await height(api);
	const index = await propose(api, proposal);
	const { number, ended } = await outcome(api, index, from);
	assert.equal(ended, 'Confirmed', `referendum ${index}`);
	const { number: at, event } = await waitFor(
		api,
		`the enactment of referendum ${index}`,
		number,
		100,
		({ section, method, data }) =>
			section === 'scheduler' &&
			['Dispatched', 'CallUnavailable'].includes(method) &&
			data.id.isSome &&
			data.id.unwrap().toHex() === enactment(api, index)
	);
	assert.equal(event.method, 'Dispatched');
	if (event.data.result.isErr) {
		throw new Error(`referendum ${index} was enacted, but ${explain(api, event.data.result.asErr)}`);
	}
	const events = await (await api.at(await api.rpc.chain.getBlockHash(at))).query.system.events();
	say(`referendum ${index} confirmed in block ${number}, enacted in block ${at}`);
	return { index, number: at, events: events.map(({ event }) => event) };
}

// Ayes of these voters with all kinds of conviction.
export function ayes(voters, balance) {
	const convictions = ['None', 'Locked1x', 'Locked2x', 'Locked3x', 'Locked4x', 'Locked5x', 'Locked6x'];
	return voters.map((voter, i) => ({ voter, aye: true, conviction: convictions[i % convictions.length], balance }));
}
