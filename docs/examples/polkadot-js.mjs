// usage: node polkadot-js.mjs NODE GENESIS ARTIFACT        for example ws://127.0.0.1:9944 0x2f0b… 0x90c7…
import { ApiPromise, WsProvider } from '@polkadot/api';
import { verify } from '@cairn/verifier';
import { rpc, types } from './provenance.mjs';

const [node, ...hashes] = process.argv.slice(2);
const [genesis, artifact] = hashes.map((hash) => hash.toLowerCase());
const provider = new WsProvider(node);
try {
	const api = await ApiPromise.create({ provider, rpc, types, noInitWarn: true, throwOnConnect: true });
	const { provenance } = api.rpc;

	// All pages as of one block, newest record first. What a node lists is its word.
	const block = await api.rpc.chain.getFinalizedHead();
	let [next, before] = [null, null];
	let found;
	do {
		const page = await provenance.lineage(artifact, next, null, block);
		for (const { id, record } of page.records) {
			found ??= record;
			console.log(`record ${id}: ${record.kind} ${record.artifact.toHex()}`);
		}
		[before, next] = [next, page.next.unwrapOr(null)];
		// It only goes back. A node that says otherwise would be asked for ever.
	} while (next && !(before && next.gte(before)));
	const programme = await provenance.programme(found.programme, block);
	console.log(`newest weights of ${programme.name}: ${programme.weights.toHex()}`);

	// What the bundle says is proved, against nothing but the genesis hash.
	const { bundle } = await provenance.prove(artifact);
	const report = await verify(bundle.toHex(), genesis);
	const about = report.proof?.records.find(({ record }) => record.artifact === artifact);
	console.log(JSON.stringify(report));
	process.exitCode = report.verdict === 'proven' && about ? 0 : 1;
} catch (error) {
	console.error(error.message);
	process.exitCode = 1;
}
await provider.disconnect();
