//! The checksum of a member.

/// The CRC-32 of bytes that come in pieces. libdeflate's.
///
/// ```
/// let mut crc = npyfeed_npy::Crc::new();
/// crc.update(b"1234");
/// crc.update(b"56789");
/// assert_eq!(crc.sum(), 0xcbf4_3926); // the check value of every table of CRCs
/// ```
#[derive(Default)]
pub struct Crc(libdeflater::Crc);

impl Crc {
    /// Of no bytes.
    pub fn new() -> Crc {
        Crc::default()
    }

    /// Counts `bytes` in.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The CRC-32 of all bytes so far.
    pub fn sum(&self) -> u32 {
        self.0.sum()
    }
}

impl std::fmt::Debug for Crc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Crc({:08x})", self.sum())
    }
}
