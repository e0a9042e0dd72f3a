//! What an archive keeps, and what it gives when asked for much.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use npyfeed::{
    Archive, ArrayView, ByteOrder, Compression, Content, Dtype, ErrorKind, Layout, MemoryOrder, OpenOptions,
    Opened,
};

/// Noise of this size does not deflate to a file so small that it would be read when it is opened.
const ELEMENT_BYTES: usize = 40_000;

fn save(path: &Path, names: &[&str], compression: Compression) {
    let shape = [ELEMENT_BYTES];
    let layout = Layout::new(Dtype::U8, ByteOrder::NATIVE, &shape, MemoryOrder::C).expect("a small array");
    let mut noise = 1_u32;
    let bytes = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.to_be_bytes()[0]
    });
    let bytes: Vec<u8> = bytes.take(ELEMENT_BYTES).collect();
    let array = ArrayView::new(&layout, &bytes).expect("as many bytes");
    let arrays: Vec<(&str, ArrayView<'_>)> = names.iter().map(|&name| (name, array)).collect();
    npyfeed::save_npz(path, &arrays, compression).expect("a folder of our own");
}

#[test]
fn a_member_is_kept_within_the_bound_and_inflated_anew_beyond() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npz");
    save(&path, &["x", "y"], Compression::Deflated);
    let member_bytes = 128 + ELEMENT_BYTES;
    for (kept_bytes, kept) in [(0, [false; 2]), (member_bytes, [false, true]), (2 * member_bytes, [true; 2])]
    {
        let Opened::Archive(archive) = OpenOptions::new().memory(kept_bytes).open(&path).unwrap() else {
            panic!("an archive was saved");
        };
        drop(archive.load(&["x"]).unwrap());
        drop(archive.load(&["y"]).unwrap());
        // Who inflates from now on is told that the file is another.
        File::options().append(true).open(&path).unwrap().write_all(b"!").unwrap();
        assert_eq!([archive.array("x").is_ok(), archive.array("y").is_ok()], kept, "{kept_bytes}");
        save(&path, &["x", "y"], Compression::Deflated);
    }
}

#[test]
fn many_are_loaded_in_the_order_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npz");
    for compression in [Compression::Stored, Compression::Deflated] {
        save(&path, &["a", "b", "c"], compression);
        let archive = Archive::open(&path).unwrap();
        let names: Vec<String> = archive.load(&["c", "a", "c"]).unwrap().iter().map(name).collect();
        assert_eq!(names, ["c", "a", "c"].map(|name| format!("{}:{name}", path.display())));
        assert_eq!(archive.load(&["a", "z"]).unwrap_err().kind(), ErrorKind::Mismatch);
        assert!(archive.load(&[]).unwrap().is_empty());
    }
}

fn name(content: &Content) -> String {
    match content {
        Content::Array(array) => array.name().to_owned(),
        Content::Bytes(_) => "bytes".to_owned(),
    }
}

#[test]
fn a_name_given_twice_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.npz");
    let layout = Layout::new(Dtype::U8, ByteOrder::NATIVE, &[1], MemoryOrder::C).unwrap();
    let array = ArrayView::new(&layout, &[7]).unwrap();
    for names in [["x", "x"], ["a", "../b"]] {
        let refused = npyfeed::save_npz(&path, &names.map(|name| (name, array)), Compression::Stored);
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::Mismatch);
        assert!(!path.exists());
    }
}
