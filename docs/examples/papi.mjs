// usage: node papi.mjs NODE GENESIS ARTIFACT        for example ws://127.0.0.1:9944 0x2f0b… 0x90c7…
import { createClient } from 'polkadot-api';
import { getWsProvider, WsEvent } from 'polkadot-api/ws-provider/node';
import { verify } from '@cairn/verifier';

const [node, genesis, artifact] = process.argv.slice(2);
// Without this it would try again for ever.
const unreachable = ({ type }) => {
	if (type === WsEvent.ERROR) {
		console.error(`${node} cannot be reached`);
		process.exit(1);
	}
};
const client = createClient(getWsProvider(node, unreachable));
try {
	// All pages as of one block, newest record first. What a node lists is its word.
	const { hash } = await client.getFinalizedBlock();
	let next = null;
	let found;
	do {
		const page = await client._request('provenance_lineage', [artifact, next, null, hash]);
		for (const { id, record } of page.records) {
			found ??= record;
			console.log(`record ${id}: ${record.kind} ${record.artifact}`);
		}
		next = page.next;
	} while (next !== null);
	// A runtime call, which the chain's metadata describes: `papi add` makes TypeScript types from it.
	const programme = await client.getUnsafeApi().apis.TrainingApi.programme(found.programme, { at: hash });
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
