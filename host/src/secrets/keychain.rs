//! The keychain of macOS.

use super::{Keyring, KeyringError, Value, value};
use security_framework::{
    base::Error,
    passwords::{PasswordOptions, delete_generic_password, generic_password, set_generic_password},
};
use zeroize::Zeroizing;

/// There is no such entry (`errSecItemNotFound`).
const NOT_FOUND: i32 = -25300;
/// There is no keychain, or nobody to unlock it (`errSecNoDefaultKeychain`,
/// `errSecInteractionNotAllowed`), as in a session over SSH.
const NOBODY: [i32; 2] = [-25307, -25308];

/// The user's default keychain.
pub(super) struct Keychain;

impl Keyring for Keychain {
    fn get(&self, factory: &str, name: &str) -> Result<Option<Value>, KeyringError> {
        let options = PasswordOptions::new_generic_password(&service(factory), name);
        match generic_password(options).map(Zeroizing::new) {
            Ok(bytes) => value(bytes).map(Some).map_err(|reason| {
                KeyringError::Refused(format!("what it has is no secret: {reason}"))
            }),
            Err(error) if error.code() == NOT_FOUND => Ok(None),
            Err(error) => Err(said(&error)),
        }
    }

    fn set(&self, factory: &str, name: &str, value: &Value) -> Result<(), KeyringError> {
        set_generic_password(&service(factory), name, value.as_bytes()).map_err(|e| said(&e))
    }

    fn remove(&self, factory: &str, name: &str) -> Result<(), KeyringError> {
        match delete_generic_password(&service(factory), name) {
            Err(error) if error.code() != NOT_FOUND => Err(said(&error)),
            _ => Ok(()),
        }
    }
}

fn service(factory: &str) -> String {
    format!("andon {factory}")
}

fn said(error: &Error) -> KeyringError {
    if NOBODY.contains(&error.code()) {
        KeyringError::Absent(error.to_string())
    } else {
        KeyringError::Refused(error.to_string())
    }
}
