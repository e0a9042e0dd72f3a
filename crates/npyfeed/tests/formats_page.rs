//! docs/formats.md says what the code does: its tables are rendered from the constants and held against the page.
//!
//! `NPYFEED_WRITE_PAGES=1 cargo test -p npyfeed --test formats_page` writes them into the page instead.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fmt::Write;
use std::path::Path;

use npyfeed::{Dtype, Framework, Kind};
use npyfeed_npy::{
    DEFAULT_HEADER_BYTES, MAX_AXES, MAX_DEPTH, MAX_DIRECTORY_BYTES, MAX_INFLATE_RATIO, MAX_ITEM_BYTES,
    MAX_MEMBERS,
};

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/formats.md");

/// Which dtype each becomes, a row a dtype.
fn dtypes() -> String {
    let heads = Framework::ALL.map(Framework::name).join(" | ");
    let mut table = format!("| dtype | bytes | kind | type string | in NumPy | {heads} |\n");
    table.push_str(&"|---".repeat(5 + Framework::ALL.len()));
    table.push_str("|\n");
    for dtype in Dtype::ALL {
        let others = Framework::ALL.map(|framework| code(dtype.name_in(framework).unwrap_or("–")));
        let (bytes, kind) = (dtype.item_bytes(), kind(dtype.kind()));
        let type_string = dtype.type_string().replace('|', "\\|"); // a bar would end the cell
        let numpy = if dtype.is_unknown_to_numpy() {
            format!("bits, as `{}`", dtype.numpy_dtype())
        } else {
            code(dtype.name())
        };
        let others = others.join(" | ");
        writeln!(table, "| `{dtype}` | {bytes} | {kind} | `{type_string}` | {numpy} | {others} |").unwrap();
    }
    table
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "bool",
        Kind::Signed => "signed",
        Kind::Unsigned => "unsigned",
        Kind::Float => "float",
        Kind::Complex => "complex",
    }
}

fn code(name: &str) -> String {
    if name == "–" { name.to_owned() } else { format!("`{name}`") }
}

/// Every limit on what a file may state, with its value.
fn limits() -> String {
    let rows = [
        ("DEFAULT_HEADER_BYTES", DEFAULT_HEADER_BYTES as u64, "bytes before the first element of an array"),
        ("MAX_AXES", MAX_AXES as u64, "axes of an array, or of a field of a record, as in NumPy 2"),
        ("MAX_DEPTH", MAX_DEPTH as u64, "brackets open at once in a header"),
        ("MAX_ITEM_BYTES", MAX_ITEM_BYTES as u64, "bytes of one element, as in NumPy"),
        ("MAX_MEMBERS", MAX_MEMBERS as u64, "members of an .npz file"),
        ("MAX_DIRECTORY_BYTES", MAX_DIRECTORY_BYTES as u64, "bytes of the directory of an .npz file"),
        ("MAX_INFLATE_RATIO", MAX_INFLATE_RATIO, "bytes that one byte of a deflated member may stand for"),
    ];
    let mut table = "| limit | value | on |\n|---|---|---|\n".to_owned();
    for (name, value, on) in rows {
        writeln!(table, "| `{name}` | {} | {on} |", grouped(value)).unwrap();
    }
    table
}

/// `1,048,576`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().map(|group| str::from_utf8(group).unwrap()).collect();
    groups.join(",")
}

/// `page` with `table` between the markers of `name`.
fn with_table(page: &str, name: &str, table: &str) -> String {
    let (before, rest) = page.split_once(&format!("<!-- {name} -->\n")).expect("the opening marker");
    let (_, after) = rest.split_once(&format!("<!-- /{name} -->")).expect("the closing marker");
    format!("{before}<!-- {name} -->\n{table}<!-- /{name} -->{after}")
}

#[test]
fn the_page_has_the_tables_of_the_code() {
    let found = std::fs::read_to_string(Path::new(PAGE)).unwrap();
    let expected = with_table(&with_table(&found, "dtypes", &dtypes()), "limits", &limits());
    if std::env::var_os("NPYFEED_WRITE_PAGES").is_some() {
        std::fs::write(PAGE, &expected).unwrap();
        return;
    }
    let first = found.lines().zip(expected.lines()).find(|(found, expected)| found != expected);
    assert!(
        found == expected,
        "docs/formats.md is out of date: run NPYFEED_WRITE_PAGES=1 cargo test -p npyfeed --test formats_page; {first:?}"
    );
}
