// The read side through papi: typed descriptors made from the chain's own metadata, nothing of ours beside them.
//
// usage: node papi.mjs WS_URL

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { createClient } from 'polkadot-api';
import { getWsProvider } from 'polkadot-api/ws-provider/node';
import { say } from './lib.mjs';

const url = process.argv[2];
const modules = path.resolve('node_modules');
const folder = mkdtempSync(path.join(tmpdir(), 'cairn-papi-'));
try {
	symlinkSync(modules, path.join(folder, 'node_modules'));
	writeFileSync(
		path.join(folder, 'package.json'),
		JSON.stringify({ type: 'module', dependencies: { '@polkadot-api/descriptors': 'file:.papi/descriptors' } })
	);
	// papi wants to install what it generated; imported by path, it needs no installation.
	const npm = path.join(folder, 'bin', 'npm');
	mkdirSync(path.dirname(npm));
	writeFileSync(npm, '#!/bin/sh\n[ "$1" = install ] || echo 10.0.0\n');
	chmodSync(npm, 0o755);
	// Node.js has a WebSocket of its own only from version 22 on.
	const socket = path.join(folder, 'websocket.mjs');
	writeFileSync(socket, "import { WebSocket } from 'ws';\nglobalThis.WebSocket ??= WebSocket;\n");
	const made = spawnSync(
		process.execPath,
		['--import', socket, path.join(modules, 'polkadot-api/bin/cli.mjs'), 'add', 'cairn', '-w', url],
		{ cwd: folder, env: { ...process.env, npm_execpath: npm }, encoding: 'utf8' }
	);
	assert.equal(made.status, 0, `${made.stdout}\n${made.stderr}`);

	const { cairn } = await import(pathToFileURL(path.join(folder, '.papi/descriptors/dist/index.mjs')));
	const client = createClient(getWsProvider(url));
	const api = client.getTypedApi(cairn);

	const [id] = await api.apis.TrainingApi.programmes();
	const programme = await api.apis.TrainingApi.programme(id);
	const stored = await api.query.Training.Programmes.getValue(id);
	assert.equal(programme.genesis_weights.asHex(), stored.settings.genesis_weights.asHex());
	assert.equal(programme.name.asText(), 'digits');
	const charter = await api.query.Governance.CurrentCharter.getValue();
	assert.ok(charter.site_cap >= 1 && charter.site_cap <= 100);
	const tracks = await api.constants.Referenda.Tracks();
	assert.ok(tracks.some(([track, { name }]) => track === 10 && name.startsWith('programme_admin')));
	assert.equal((await api.query.TechnicalCommittee.Members.getValue()).length, 3);
	const validators = await api.query.Session.Validators.getValue();
	assert.equal(validators.length, 3);
	assert.ok((await api.apis.ProvenanceApi.record_count()) >= 2n);
	say(`papi reads programme ${id}, its charter and ${tracks.length} tracks by descriptors`);
	client.destroy();
} finally {
	rmSync(folder, { recursive: true, force: true });
}
