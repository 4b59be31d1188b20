//! pallets/provenance
