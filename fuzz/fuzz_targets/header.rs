//! Any bytes are parsed as a header or refused, and what is parsed keeps its promises.

#![no_main]

use libfuzzer_sys::fuzz_target;
use npyfeed_array::{Grid, Layout};
use npyfeed_npy::{Descr, Header, HeaderError, Limits, MAX_AXES, MAX_ITEM_BYTES, header_bytes};

fuzz_target!(|bytes: &[u8]| {
    match Header::parse(bytes, &Limits::DEFAULT) {
        Err(error) => check_error(&error, bytes),
        Ok(header) => {
            check_header(&header, bytes);
            match header.layout() {
                Ok(layout) => check_layout(&header, &layout),
                Err(refusal) => assert!(!refusal.to_string().is_empty()),
            }
        }
    }
});

/// An error points into the file, and its message stays short whatever the file says.
fn check_error(error: &HeaderError, bytes: &[u8]) {
    assert!(error.offset() <= bytes.len(), "{error:?}");
    assert!(error.to_string().len() < 4096, "{error}");
}

/// The header is where `prefix_bytes` said, and needs no byte behind it.
fn check_header(header: &Header, bytes: &[u8]) {
    let first = &bytes[..bytes.len().min(Header::PREAMBLE_BYTES)];
    assert_eq!(Header::prefix_bytes(first, &Limits::DEFAULT), Ok(header.data_offset()));
    let alone = Header::parse(&bytes[..header.data_offset()], &Limits::DEFAULT);
    assert_eq!(alone.as_ref(), Ok(header));
    assert!(header.shape().len() <= MAX_AXES);
    assert!(header.descr().item_bytes() <= MAX_ITEM_BYTES);
    assert_eq!(header.data_bytes().is_none(), header.descr().contains_object());
    let needed_bytes = header.data_offset() as u64 + header.data_bytes().unwrap_or(0) as u64;
    assert_eq!(header.check_data(needed_bytes), Ok(()));
}

/// What we would write for these elements is read as the same elements.
fn check_layout(header: &Header, layout: &Layout) {
    assert_eq!(Some(layout.span_bytes()), header.data_bytes());
    let written = header_bytes(layout.dtype(), layout.byte_order(), header.memory_order(), layout.shape());
    let written = written.expect("a header that was parsed has few enough axes");
    let again = Header::parse(&written, &Limits::DEFAULT).expect("what we write, we read");
    assert_eq!(again.shape(), header.shape());
    // One row is in both orders, of which NumPy writes C.
    let orders = |grid: &Grid| (grid.is_c_contiguous(), grid.is_fortran_contiguous());
    assert_eq!(orders(&again.grid()), orders(layout.grid()));
    assert_eq!(again.descr(), header.descr());
    assert!(matches!(again.descr(), Descr::Number { .. }));
}
