// The DAO names attesters and asks for evidence from one class of devices. A device of that class is shut out, proves its
// speed by itself, and takes part again.

import assert from 'node:assert/strict';
import { CRN, account, ayes, enact, height, history, refused, say } from './lib.mjs';

export async function attestation(api, device, attesters) {
	const [alice, bob, charlie, dave, eve] = ['//Alice', '//Bob', '//Charlie', '//Dave', '//Eve'].map(account);
	const call = api.tx.hardware.setAttesters(attesters, attesters.length);
	await refused(api, call, eve, /BadOrigin/);
	const from = await height(api);
	await enact(api, {
		proposer: charlie,
		origin: { Origins: 'RegistryAdmin' },
		call,
		votes: ayes([alice, bob, charlie, dave], 800_000n * CRN),
	});
	const set = await api.query.hardware.attesters();
	assert.deepEqual(set.members.map(String).sort(), [...attesters].sort());
	say(`${attesters.length} attesters are named`);

	// What the device did, by the blocks in which it did it.
	const seen = { before: 0, shutOut: null, attested: null };
	for await (const { number, event } of history(api, from)) {
		// Between the two stand several votes, a programme's start and its first update: dao.mjs.
		const last = seen.attested ?? seen.shutOut ?? from + 300;
		assert.ok(number < last + 300, `device ${device} did not come back by block ${number}: ${JSON.stringify(seen)}`);
		const { section, method, data } = event;
		if (section === 'governance' && method === 'CharterSet') {
			seen.shutOut = number;
		} else if (section === 'training' && method === 'UpdateCommitted' && data.device.toNumber() === device) {
			if (seen.attested !== null) {
				say(`device ${device} takes part again in block ${number}`);
				break;
			}
			assert.ok(seen.shutOut === null || number === seen.shutOut, `${JSON.stringify(seen)}, update in ${number}`);
			seen.before++;
		} else if (section === 'hardware' && method === 'EvidenceAccepted' && data.device.toNumber() === device) {
			assert.ok(seen.shutOut !== null && number > seen.shutOut, JSON.stringify(seen));
			seen.attested = number;
			say(`device ${device} was shut out in block ${seen.shutOut} and attested in block ${number}`);
		}
	}
	assert.ok(seen.before > 0, 'the device took part before anybody asked for evidence');
	const { evidence, class: kind } = (await api.call.hardwareApi.device(device)).unwrap();
	assert.ok(kind.isEdge && evidence.isSome && evidence.unwrap().valid.isTrue);
	const { flops, bandwidth } = evidence.unwrap().speed.unwrap();
	assert.ok(flops.toBigInt() > 0n && bandwidth.toBigInt() > 0n);
}
