//! The system's keyring, as far as it is needed: whose a secret is, its name, and its value.

use super::Value;
#[cfg(target_os = "macos")]
use super::keychain::Keychain as System;
#[cfg(not(target_os = "macos"))]
use super::secret_tool::SecretTool as System;
use std::sync::Arc;

/// Where secrets can be put that no file of ours holds.
pub trait Keyring: Send + Sync + 'static {
    /// The value of `name` of `factory`, if it has one. Waits while a person unlocks it.
    ///
    /// # Errors
    /// When none answers, or it says no.
    fn get(&self, factory: &str, name: &str) -> Result<Option<Value>, KeyringError>;

    /// Keeps a value, in the stead of another.
    ///
    /// # Errors
    /// As [`Self::get`].
    fn set(&self, factory: &str, name: &str, value: &Value) -> Result<(), KeyringError>;

    /// Removes a value, if it has it.
    ///
    /// # Errors
    /// As [`Self::get`].
    fn remove(&self, factory: &str, name: &str) -> Result<(), KeyringError>;
}

/// What keeps a keyring from its work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// There is none, or it does not answer.
    #[error("none answers ({0})")]
    Absent(String),
    /// It says no, or whoever was asked to unlock it did.
    #[error("{0}")]
    Refused(String),
}

/// The system's: the keychain on macOS, else what `secret-tool` speaks to.
pub fn system() -> Arc<dyn Keyring> {
    Arc::new(System)
}
