//! Where the bytes of npyfeed come from: mapped files and memory
