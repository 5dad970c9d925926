//! What holds in every history.
