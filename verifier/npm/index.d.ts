/** `0x` and 64 hex digits. */
export type Hash = string;

/** What a bundle came to. */
export interface Report {
	/** `unreadable`: these bytes are no bundle of a version that this verifier knows. */
	verdict: 'proven' | 'refuted' | 'unreadable';
	/** The genesis hash against which it was checked. */
	genesis: Hash;
	/** Why it proves nothing, as a sentence; only when it does not. */
	reason?: string;
	/** What is proved; only when it is. */
	proof?: Proof;
}

/** What is proved. */
export interface Proof {
	/** The finalised block as of which it holds. */
	block: { number: number; hash: Hash };
	/** Who made that block final; `id` is how often the set had changed since genesis. */
	authoritySet: { id: number; authorities: number };
	/** The records that are in the ledger, ascending by number. */
	records?: { id: number; record: ProvenanceRecord }[];
	/** The weights that are not in the ledger. */
	noWeights?: Hash;
}

/** One entry of the provenance ledger. */
export interface ProvenanceRecord {
	kind: 'weights' | 'update' | 'trainingConfig';
	/** The BLAKE3-256 hash of the artifact's bytes. */
	artifact: Hash;
	/** The record of the weights that it was derived from. */
	base: number | null;
	/** The records of the updates that it was made of. */
	inputs: { first: number; count: number } | null;
	/**
	 * What the round that made these weights was settled under: a digest of its terms, of the seed that ordered its
	 * updates and of their quality. Null for everything but weights that a round made.
	 */
	terms: Hash | null;
	/** SS58, prefix 42. */
	producer: string | null;
	device: number | null;
	/** Where the device stood when the artifact was committed to. */
	site: number | null;
	programme: number;
	round: number | null;
	/** The block that recorded it. */
	block: number;
}

/** A bundle: bytes, hex, its JSON as text or parsed, or the answer of `provenance_prove`. */
export type Bundle = Uint8Array | ArrayBuffer | string | object;

/** Checks one bundle. Loads the verifier at the first call. */
export function verify(bundle: Bundle, genesis: Hash | Uint8Array): Promise<Report>;

/** Loads the verifier once, for checks without waiting. Without a source it takes the module from beside this file. */
export function load(
	source?: WebAssembly.Module | BufferSource | Promise<BufferSource>,
): Promise<(bundle: Bundle, genesis: Hash | Uint8Array) => Report>;
