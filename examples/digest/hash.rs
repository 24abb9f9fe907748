//! One file's digest.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use sha2::{Digest, Sha256};

/// A SHA-256 digest.
pub(crate) type Sum = [u8; 32];

/// How much is read at once: enough that the system calls do not show, and small enough
/// that it stays in a core's cache from read to hash.
const BLOCK: usize = 128 * 1024;

/// Hashes what `path` holds, `progress` being told of each block's size.
pub(crate) fn file(path: &Path, progress: &dyn Fn(u64)) -> io::Result<Sum> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut block = vec![0; BLOCK];
    loop {
        match file.read(&mut block) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(n) => {
                hasher.update(&block[..n]);
                progress(n as u64);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// A digest in hexadecimal.
pub(crate) fn hex(sum: &Sum) -> String {
    sum.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The digest that is written so in hexadecimal.
pub(crate) fn from_hex(text: &[u8]) -> Option<Sum> {
    let mut sum = Sum::default();
    if text.len() != 2 * sum.len() {
        return None;
    }
    for (byte, pair) in sum.iter_mut().zip(text.chunks_exact(2)) {
        let digit = |c: u8| char::from(c).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_is_read_as_it_is_written() {
        let sum = std::array::from_fn(|i| (i * 7) as u8);
        assert_eq!(from_hex(hex(&sum).as_bytes()), Some(sum));
        assert_eq!(from_hex(hex(&sum).to_uppercase().as_bytes()), Some(sum));
        assert_eq!(from_hex(b"12"), None);
        assert_eq!(from_hex(&[b'g'; 64]), None);
    }
}
