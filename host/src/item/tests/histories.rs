//! One history a test.
