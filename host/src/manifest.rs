//! What a station says of itself: the manifest, as `station.toml` has it and the component carries it.
