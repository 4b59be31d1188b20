// Everything the DAO decides, on one live chain with short periods. Votes that do not depend on each other go on at the
// same time.
//
// usage: node governance.mjs WS_URL WS_URL_OF_A_VALIDATOR_TO_BE NEXT_RUNTIME.wasm EDGE_DEVICE ATTESTER..

import { connect, say } from './lib.mjs';
import { attestation } from './attestation.mjs';
import { dao } from './dao.mjs';
import { authorise, upgrade } from './upgrade.mjs';
import { validators } from './validators.mjs';

const [url, newcomer, next, device, ...attesters] = process.argv.slice(2);
const api = await connect(url);
await Promise.all([
	dao(api),
	validators(api, newcomer),
	authorise(api, next),
	attestation(api, Number(device), attesters),
]);
await upgrade(api, url, next);
say('all of it held');
await api.disconnect();
