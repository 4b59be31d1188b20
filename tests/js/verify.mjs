// What the npm package says of a bundle, as JSON.
//
// usage: node verify.mjs BUNDLE GENESIS

import { readFile } from 'node:fs/promises';
import { verify } from '../../verifier/npm/index.mjs';

const [bundle, genesis] = process.argv.slice(2);
console.log(JSON.stringify(await verify(await readFile(bundle), genesis)));
