// A DAO at work: it opens a programme, funds it, changes the charter, stops a programme, turns a proposal down, and lets
// the programme go on.

import assert from 'node:assert/strict';
import {
	CRN,
	account,
	ayes,
	enact,
	explain,
	height,
	only,
	outcome,
	propose,
	refused,
	say,
	send,
	waitFor,
} from './lib.mjs';

export async function dao(api) {
	const [alice, bob, charlie, dave, eve] = ['//Alice', '//Bob', '//Charlie', '//Dave', '//Eve'].map(account);
	const voters = [alice, bob, charlie, dave];
	// More than half of all CRN, so that no vote has to wait for its thresholds to fall.
	const stake = 800_000n * CRN;

	// What comes of a call that two of the three members of the technical committee propose and vote for.
	const motion = async (call) => {
		const committee = api.tx.technicalCommittee;
		const length = call.length + 8;
		const proposed = await send(api, committee.propose(2, call, length), alice);
		const { proposalHash, proposalIndex } = only(proposed.events, 'technicalCommittee', 'Proposed');
		await send(api, committee.vote(proposalHash, proposalIndex, true), alice);
		await send(api, committee.vote(proposalHash, proposalIndex, true), bob);
		const weight = { refTime: 490_000_000_000n, proofSize: 1_000_000n };
		const closed = await send(api, committee.close(proposalHash, proposalIndex, weight, length), charlie);
		return only(closed.events, 'technicalCommittee', 'Executed').result;
	};

	// An ordinary account can do none of it.
	await refused(api, api.tx.governance.pauseProgramme(0), eve, /BadOrigin/);
	await refused(api, api.tx.governance.setValidators([eve.address]), eve, /BadOrigin/);
	await refused(api, api.tx.treasury.spend(null, CRN, eve.address, null), eve, /BadOrigin/);

	// A proposal that nobody but its author wants is rejected; it runs beside the rest.
	const doomedFrom = await height(api);
	const doomed = await propose(api, {
		proposer: eve,
		origin: { Origins: 'ProgrammeAdmin' },
		call: api.tx.governance.closeProgramme(0),
		votes: [
			{ voter: eve, aye: true, conviction: 'None', balance: 10_000n * CRN },
			...[alice, bob, charlie].map((voter) => ({ voter, aye: false, conviction: 'Locked1x', balance: stake })),
		],
	});
	say(`referendum ${doomed}: close programme 0, against the majority`);

	// Training priorities: a second programme with the settings of the first and a budget of its own.
	const first = (await api.query.training.programmes(0)).unwrap();
	const settings = { ...first.settings.toJSON(), name: 'digits, decided by referendum', rounds: 2 };
	const opened = await enact(api, {
		proposer: alice,
		origin: { Origins: 'ProgrammeAdmin' },
		call: api.tx.governance.openProgramme(settings),
		votes: ayes(voters, stake),
	});
	const programme = only(opened.events, 'training', 'ProgrammeOpened').programme.toNumber();
	const info = async () => (await api.call.trainingApi.programme(programme)).unwrap();
	assert.equal((await info()).state.type, 'Unfunded');
	say(`programme ${programme} is open and waits for its budget`);

	// Resource allocation: a treasury spend into its pot. On a live chain fees and slashes fill the treasury.
	await send(api, api.tx.balances.transferKeepAlive(api.consts.treasury.potAccount, 10_000n * CRN), alice);
	const pot = (await info()).pot.toString();
	const budget = 3_000n * CRN;
	const approved = await enact(api, {
		proposer: bob,
		origin: { Origins: 'Treasurer' },
		call: api.tx.treasury.spend(null, budget, pot, null),
		votes: ayes(voters, stake),
	});
	const spend = only(approved.events, 'treasury', 'AssetSpendApproved').index;
	await send(api, api.tx.treasury.payout(spend), eve);
	assert.equal((await api.query.system.account(pot)).data.free.toBigInt(), budget);
	say('the treasury filled the pot');

	// The workers open its first round and take it up by themselves.
	await waitFor(
		api,
		`an update for programme ${programme}`,
		opened.number,
		200,
		({ section, method, data }) =>
			section === 'training' && method === 'UpdateCommitted' && data.programme.toNumber() === programme
	);
	say('workers train it');

	// Safety: two of three of the technical committee stop it, in the block in which their motion closes.
	const executed = await motion(api.tx.governance.pauseProgramme(programme));
	assert.ok(executed.isOk, executed.isErr && explain(api, executed.asErr));
	assert.equal((await info()).state.type, 'Paused');
	say('the technical committee paused it');

	// And nothing else is in the committee's power.
	for (const [what, call] of [
		['resume', api.tx.governance.resumeProgramme(programme)],
		['close', api.tx.governance.closeProgramme(programme)],
		['spend', api.tx.treasury.spend(null, CRN, eve.address, null)],
	]) {
		const result = await motion(call);
		assert.ok(result.isErr && result.asErr.isBadOrigin, `the committee must not be able to ${what}`);
	}

	// Policy: no commit window above 500 blocks, and evidence from small devices. What breaks the charter cannot open;
	// what becomes of small devices is in attestation.mjs.
	const charter = (await api.query.governance.currentCharter()).toJSON();
	await enact(api, {
		proposer: charlie,
		origin: { Origins: 'PolicyAdmin' },
		call: api.tx.governance.setCharter({
			...charter,
			evidence: ['Edge'],
			maxSchedule: { ...charter.maxSchedule, commit: 500 },
		}),
		votes: ayes(voters, stake),
	});
	await assert.rejects(
		enact(api, {
			proposer: alice,
			origin: { Origins: 'ProgrammeAdmin' },
			call: api.tx.governance.openProgramme({
				...settings,
				name: 'too slow for the charter',
				schedule: { ...settings.schedule, commit: 501 },
			}),
			votes: ayes(voters, stake),
		}),
		/governance\./
	);
	say('the charter binds: a programme that breaks it did not open');

	// The programme goes on where it stood, and ends.
	const resumed = await enact(api, {
		proposer: bob,
		origin: { Origins: 'ProgrammeAdmin' },
		call: api.tx.governance.resumeProgramme(programme),
		votes: ayes(voters, stake),
	});
	await waitFor(
		api,
		`the end of programme ${programme}`,
		resumed.number,
		400,
		({ section, method, data }) =>
			section === 'training' && method === 'ProgrammeCompleted' && data.programme.toNumber() === programme
	);
	const { finalised } = await info();
	assert.equal(finalised.toNumber(), 2);
	say('programme', programme, 'is completed');

	assert.equal((await outcome(api, doomed, doomedFrom)).ended, 'Rejected');
	assert.notEqual((await api.call.trainingApi.programme(0)).unwrap().state.type, 'Closed');
	say(`referendum ${doomed} was rejected`);
}
