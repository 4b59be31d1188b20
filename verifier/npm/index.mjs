// Checks provenance bundles against a genesis hash. No network, no dependencies: the module beside this file has no
// imports, and each verification gets an instance of its own.

const bytesOfHex = (text, what) => {
	const digits = text.trim().replace(/^0x/, '');
	if (!/^([0-9a-fA-F]{2})*$/.test(digits)) {
		throw new TypeError(`${what} is not hex`);
	}
	return Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));
};

const bytesOf = (bundle) => {
	if (bundle instanceof Uint8Array) {
		return bundle;
	}
	if (bundle instanceof ArrayBuffer) {
		return new Uint8Array(bundle);
	}
	if (typeof bundle === 'string') {
		return new TextEncoder().encode(bundle);
	}
	if (bundle !== null && typeof bundle === 'object' && !ArrayBuffer.isView(bundle)) {
		return new TextEncoder().encode(JSON.stringify(bundle));
	}
	throw new TypeError('a bundle is bytes, hex, JSON, or the answer of provenance_prove');
};

const loadModule = async (source) => {
	if (source instanceof WebAssembly.Module) {
		return source;
	}
	if (source !== undefined) {
		return WebAssembly.compile(source instanceof Promise ? await source : source);
	}
	const url = new URL('./cairn_verifier.wasm', import.meta.url);
	if (url.protocol === 'file:') {
		const { readFile } = await import('node:fs/promises');
		return WebAssembly.compile(await readFile(url));
	}
	const response = await fetch(url);
	if (!response.ok) {
		throw new Error(`${url} cannot be loaded: ${response.status} ${response.statusText}`);
	}
	return WebAssembly.compile(await response.arrayBuffer());
};

/** Loads the verifier. Without a source it takes cairn_verifier.wasm from beside this file. */
export async function load(source) {
	const module = await loadModule(source);
	return (bundle, genesis) => {
		const hash = typeof genesis === 'string' ? bytesOfHex(genesis, 'the genesis hash') : genesis;
		if (!(hash instanceof Uint8Array) || hash.length !== 32) {
			throw new TypeError('the genesis hash is 32 bytes, or 0x and 64 hex digits');
		}
		const bytes = bytesOf(bundle);
		const { exports } = new WebAssembly.Instance(module);
		const place = (data) => {
			// Addresses are unsigned; JavaScript gets them signed.
			const at = exports.cairn_alloc(data.length) >>> 0;
			if (at === 0) {
				throw new RangeError(`there is no memory for a bundle of ${data.length} bytes`);
			}
			// After the call: growing memory detaches views of it.
			new Uint8Array(exports.memory.buffer).set(data, at);
			return at;
		};
		const bundleAt = place(bytes);
		const hashAt = place(hash);
		const found = BigInt.asUintN(64, exports.cairn_verify(bundleAt, bytes.length, hashAt));
		const [at, length] = [Number(found >> 32n), Number(found & 0xffffffffn)];
		return JSON.parse(new TextDecoder().decode(new Uint8Array(exports.memory.buffer, at, length)));
	};
}

let loaded;

/** Checks one bundle. Loads the verifier at the first call. */
export async function verify(bundle, genesis) {
	loaded ??= load().catch((error) => {
		loaded = undefined;
		throw error;
	});
	return (await loaded)(bundle, genesis);
}
