// usage: node papi.mjs NODE GENESIS ARTIFACT        for example ws://127.0.0.1:9944 0x2f0b… 0x90c7…
import { createClient } from 'polkadot-api';
import { getWsProvider, WsEvent } from 'polkadot-api/ws-provider/node';
import { verify } from '@cairn/verifier';

const [node, ...hashes] = process.argv.slice(2);
const [genesis, artifact] = hashes.map((hash) => hash.toLowerCase());
// Without this it would try again for ever.
const onStatusChanged = ({ type }) => {
	if (type === WsEvent.ERROR) {
		console.error(`${node} cannot be reached`);
		process.exit(1);
	}
};
const client = createClient(getWsProvider({ endpoints: [node], onStatusChanged, timeout: 60_000 }));
try {
	// All pages as of one block, newest record first. What a node lists is its word.
	const { hash } = await client.getFinalizedBlock();
	let [next, before] = [null, null];
	let found;
	do {
		const page = await client._request('provenance_lineage', [artifact, next, null, hash]);
		for (const { id, record } of page.records) {
			found ??= record;
			console.log(`record ${id}: ${record.kind} ${record.artifact}`);
		}
		[before, next] = [next, page.next];
		// It only goes back. A node that says otherwise would be asked for ever.
	} while (next !== null && (before === null || next < before));
	// A runtime call, which the chain's metadata describes: `papi add` makes TypeScript types from it. It is made at the
	// newest finalised block, because papi lets go of older ones.
	const programme = await client.getUnsafeApi().apis.TrainingApi.programme(found.programme);
	console.log(`newest weights of ${programme.name.asText()}: ${programme.weights.asHex()}`);

	// What the bundle says is proved, against nothing but the genesis hash.
	const report = await verify(await client._request('provenance_prove', [artifact]), genesis);
	const about = report.proof?.records.find(({ record }) => record.artifact === artifact);
	console.log(JSON.stringify(report));
	process.exitCode = report.verdict === 'proven' && about ? 0 : 1;
} catch (error) {
	console.error(error.code === undefined ? error.message : `${error.code}: ${error.message}`);
	process.exitCode = 1;
}
client.destroy();
