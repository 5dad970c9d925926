//! The API over a double of the lines: who may do what, and callers that mean it badly.
