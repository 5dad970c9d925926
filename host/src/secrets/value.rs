//! What can be a secret's value.

use zeroize::Zeroizing;

/// The fewest bytes of a secret: a shorter text would be found by chance in what a server answers.
pub const SHORTEST: usize = 8;
/// The most bytes of a secret.
pub const LONGEST: usize = 64 << 10;

/// Why something can be no secret's value. Says nothing of what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadValue {
    /// Too short to be told from other text.
    #[error(
        "it is shorter than {SHORTEST} bytes, so that an answer that repeats it could not be told from others"
    )]
    Short,
    /// Too long.
    #[error("it is longer than {LONGEST} bytes")]
    Long,
    /// It could not stand in a header.
    #[error("it has a line break or a zero byte in it")]
    Broken,
    /// It is no text.
    #[error("it is not UTF-8")]
    NotText,
}

/// The secret that was given as these bytes. One line break at the end is taken for the giver's.
///
/// # Errors
/// When they can be none.
pub fn value(mut bytes: Zeroizing<Vec<u8>>) -> Result<Zeroizing<String>, BadValue> {
    if bytes.ends_with(b"\n") {
        bytes.pop();
        if bytes.ends_with(b"\r") {
            bytes.pop();
        }
    }
    if bytes.len() > LONGEST {
        return Err(BadValue::Long);
    }
    if bytes.iter().any(|byte| matches!(byte, 0 | b'\r' | b'\n')) {
        return Err(BadValue::Broken);
    }
    if bytes.len() < SHORTEST {
        return Err(BadValue::Short);
    }
    // Checked before it is moved: the error of `from_utf8` would carry the bytes away.
    if std::str::from_utf8(&bytes).is_err() {
        return Err(BadValue::NotText);
    }
    let text = String::from_utf8(std::mem::take(&mut *bytes)).map_err(|_| BadValue::NotText)?;
    Ok(Zeroizing::new(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_a_secret() {
        let long = vec![b'x'; LONGEST];
        let longer = vec![b'x'; LONGEST + 1];
        let cases: &[(&[u8], Result<&str, BadValue>)] = &[
            (b"12345678", Ok("12345678")),
            (b"12345678\n", Ok("12345678")),
            (b"12345678\r\n", Ok("12345678")),
            (b" 123456 \n", Ok(" 123456 ")),
            ("schlüssel".as_bytes(), Ok("schlüssel")),
            (b"", Err(BadValue::Short)),
            (b"1234567\n", Err(BadValue::Short)),
            (b"12345678\n\n", Err(BadValue::Broken)),
            (b"1234\r5678", Err(BadValue::Broken)),
            (b"1234\x005678", Err(BadValue::Broken)),
            (b"1234567\xff", Err(BadValue::NotText)),
            (&longer, Err(BadValue::Long)),
        ];
        for (bytes, expected) in cases {
            let value = value(Zeroizing::new(bytes.to_vec()));
            let value = value.as_ref().map(|v| v.as_str()).map_err(|e| *e);
            assert_eq!(value, *expected);
        }
        assert!(value(Zeroizing::new(long)).is_ok());
    }
}
