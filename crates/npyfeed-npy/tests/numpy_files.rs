//! The files under `testdata/`, held against what NumPy reads out of them and against the errors they
//! must give.

use std::fmt::{Debug, Display};
use std::fs;
use std::path::PathBuf;

use npyfeed_array::{ByteOrder, Dtype, MemoryOrder};
use npyfeed_npy::{Descr, Directory, Header, HeaderError, Limits, Member, header_bytes};

fn directory(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "../../testdata", name].iter().collect()
}

/// The rows of a manifest without its heading, after a check that it names every file there is.
fn manifest(name: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(directory(name).join("manifest.txt")).expect("testdata has manifests");
    let rows: Vec<Vec<String>> =
        text.lines().skip(1).map(|line| line.split('\t').map(str::to_owned).collect()).collect();
    let file_count = fs::read_dir(directory(name)).expect("testdata is there").count() - 1;
    assert_eq!(rows.len(), file_count, "{name}/manifest.txt");
    rows
}

/// What the manifest calls the kind of an element.
fn kind(descr: &Descr) -> &'static str {
    match descr {
        Descr::Number { .. } => "number",
        Descr::Float { .. } => "float",
        Descr::Complex { .. } => "complex",
        Descr::Text { .. } => "text",
        Descr::Bytes { .. } => "bytes",
        Descr::Void { .. } => "void",
        Descr::Datetime { .. } => "datetime",
        Descr::Timedelta { .. } => "timedelta",
        Descr::Object => "object",
        Descr::Record { .. } => "record",
        Descr::Subarray { .. } => "subarray",
    }
}

/// NumPy's name of a type, or the names of the fields; padding has none.
fn name(descr: &Descr) -> String {
    let escaped = |name: &str| name.replace('\\', r"\\").replace('\t', r"\t").replace('\n', r"\n");
    match descr {
        Descr::Record { fields, .. } => {
            let names = fields.iter().map(|field| escaped(&field.name)).filter(|name| !name.is_empty());
            let names = names.collect::<Vec<_>>().join(";");
            if names.is_empty() { "-".to_owned() } else { names }
        }
        Descr::Text { .. } | Descr::Bytes { .. } | Descr::Void { .. } => "-".to_owned(),
        Descr::Number { .. }
        | Descr::Float { .. }
        | Descr::Complex { .. }
        | Descr::Datetime { .. }
        | Descr::Timedelta { .. }
        | Descr::Object
        | Descr::Subarray { .. } => descr.to_string().replace("big-endian ", ""),
    }
}

fn byte_order(descr: &Descr) -> Option<ByteOrder> {
    match descr {
        Descr::Number { dtype, byte_order } => (dtype.item_bytes() > 1).then_some(*byte_order),
        Descr::Float { byte_order, .. }
        | Descr::Complex { byte_order, .. }
        | Descr::Text { byte_order, .. }
        | Descr::Datetime { byte_order, .. }
        | Descr::Timedelta { byte_order, .. } => Some(*byte_order),
        // NumPy itself forgets the order that `ml_dtypes` states.
        Descr::Void { .. }
        | Descr::Bytes { .. }
        | Descr::Object
        | Descr::Record { .. }
        | Descr::Subarray { .. } => None,
    }
}

/// A header as a row of the manifest, without the file and its writer.
fn row(header: &Header) -> Vec<String> {
    let lengths: Vec<String> = header.shape().iter().map(usize::to_string).collect();
    let byte_order = match byte_order(header.descr()) {
        Some(ByteOrder::Little) => "little",
        Some(ByteOrder::Big) => "big",
        None => "-",
    };
    let memory_order = match header.memory_order() {
        MemoryOrder::C => "c",
        MemoryOrder::Fortran => "fortran",
    };
    vec![
        kind(header.descr()).to_owned(),
        name(header.descr()),
        byte_order.to_owned(),
        memory_order.to_owned(),
        if lengths.is_empty() { "-".to_owned() } else { lengths.join(",") },
        header.descr().item_bytes().to_string(),
        header.data_offset().to_string(),
        header.version().to_string(),
    ]
}

#[test]
fn valid_files_say_to_us_what_they_say_to_numpy() {
    for expected in manifest("valid") {
        let file = fs::read(directory("valid").join(&expected[0])).unwrap();
        let header =
            Header::parse(&file, &Limits::DEFAULT).unwrap_or_else(|error| panic!("{}: {error}", expected[0]));
        assert_eq!(row(&header), expected[1..9], "{}", expected[0]);
        assert_eq!(header.check_data(file.len() as u64), Ok(()), "{}", expected[0]);
        let is_number = expected[1] == "number";
        assert_eq!(header.layout().is_ok(), is_number, "{}", expected[0]);
    }
}

#[test]
fn headers_of_numbers_are_byte_for_byte_those_of_numpy_save() {
    let mut compared = 0;
    for row in manifest("valid").iter().filter(|row| row[1] == "number" && row[9] == "numpy.save") {
        let file = fs::read(directory("valid").join(&row[0])).unwrap();
        let layout = Header::parse(&file, &Limits::DEFAULT).unwrap().layout().unwrap();
        // The memory order that the file was asked to have: NumPy may have chosen another.
        let memory_order = if row[0].starts_with("fortran") { MemoryOrder::Fortran } else { MemoryOrder::C };
        let written =
            header_bytes(layout.dtype(), layout.byte_order(), memory_order, layout.shape()).unwrap();
        let expected = &file[..file.len() - layout.span_bytes()];
        assert_eq!(written.escape_ascii().to_string(), expected.escape_ascii().to_string(), "{}", row[0]);
        compared += 1;
    }
    assert!(compared >= 60, "{compared} files compared");
}

#[test]
fn dtypes_that_numpy_lacks_are_written_as_ml_dtypes_writes_them() {
    // What `numpy.save` writes of `numpy.zeros(2, ml_dtypes...)`, NumPy 2.4 and `ml_dtypes` 0.6.
    let written = [(Dtype::Bf16, "<V2"), (Dtype::F8E4M3, "<V1"), (Dtype::F8E5M2, "<f1")];
    for (dtype, type_string) in written {
        let text = format!("{{'descr': '{type_string}', 'fortran_order': False, 'shape': (2,), }} ");
        let header = header_bytes(dtype, ByteOrder::Little, MemoryOrder::C, &[2]).unwrap();
        assert!(header[10..].starts_with(text.as_bytes()), "{dtype}: {}", header.escape_ascii());
    }
    let lacking = Dtype::ALL.into_iter().filter(|dtype| dtype.is_unknown_to_numpy());
    assert_eq!(lacking.count(), written.len());
}

/// An error by its variant, the byte it is about, and its message.
type Fault = (String, Option<usize>, String);

fn named(error: &(impl Debug + Display), offset: usize) -> Fault {
    let variant = format!("{error:?}");
    let variant = variant.split_once(' ').map_or(variant.as_str(), |(variant, _)| variant);
    (variant.to_owned(), Some(offset), error.to_string())
}

/// What is wrong with the file called `name`.
fn fault(name: &str) -> Fault {
    let path = directory("hostile").join(name);
    let file = fs::read(&path).expect("the manifest names files that are there");
    if path.extension().is_some_and(|end| end == "npz") { archive_fault(&file) } else { array_fault(&file) }
}

/// What is wrong with an .npy file: the header, the data, or elements that are no numbers.
fn array_fault(file: &[u8]) -> Fault {
    match Header::parse(file, &Limits::DEFAULT) {
        Err(error) => named(&error, error.offset()),
        Ok(header) => match (header.layout(), header.check_data(file.len() as u64)) {
            (Err(refusal), _) => ("Unsupported".to_owned(), None, refusal.to_string()),
            (Ok(_), Err(error)) => named(&error, error.offset()),
            (Ok(_), Ok(())) => ("none".to_owned(), None, String::new()),
        },
    }
}

/// What is wrong with an archive: its directory, the first member that is not what it says, or that is no array.
fn archive_fault(file: &[u8]) -> Fault {
    let plain = |member: &Member| {
        let range = member.data_range(file)?;
        let mut plain = vec![0; usize::try_from(member.plain_bytes()).expect("bounded by the file's size")];
        member.inflate(&file[range], &mut plain).map(|()| plain)
    };
    let members = Directory::parse(file)
        .and_then(|directory| directory.members().iter().map(plain).collect::<Result<Vec<_>, _>>());
    match members {
        Err(error) => named(&error, error.offset()),
        Ok(members) => {
            let faults = members.iter().map(|plain| array_fault(plain));
            let wrong = faults.into_iter().find(|(error, ..)| error != "none");
            wrong.unwrap_or_else(|| ("none".to_owned(), None, String::new()))
        }
    }
}

#[test]
fn hostile_files_are_refused_at_the_byte_where_they_go_wrong() {
    let mut wrong = Vec::new();
    for row in manifest("hostile") {
        let [name, expected_error, expected_offset, expected_message] = row.as_slice() else {
            panic!("{row:?}");
        };
        let (error, offset, message) = fault(name);
        let is_as_said = (&error, offset) == (expected_error, expected_offset.parse().ok());
        if !is_as_said || !message.contains(expected_message) {
            wrong.push(format!("{name}: expected {row:?}, found {error} at {offset:?}: {message}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn messages_have_no_capital_no_period_and_no_great_length() {
    for row in manifest("hostile") {
        let (_, _, message) = fault(&row[0]);
        assert!(message.starts_with(|first: char| first.is_ascii_lowercase()), "{}: {message}", row[0]);
        assert!(!message.ends_with('.'), "{}: {message}", row[0]);
        assert!(message.len() < 400 && !message.contains(char::is_control), "{}: {message}", row[0]);
    }
}

#[test]
fn a_file_cut_anywhere_in_its_header_is_refused_and_never_misread() {
    for row in manifest("valid") {
        let file = fs::read(directory("valid").join(&row[0])).unwrap();
        let header = Header::parse(&file, &Limits::DEFAULT).unwrap();
        let whole_header = &file[..header.data_offset()];
        assert_eq!(Header::parse(whole_header, &Limits::DEFAULT).as_ref(), Ok(&header), "{}", row[0]);
        assert_eq!(
            Header::prefix_bytes(&file[..Header::PREAMBLE_BYTES], &Limits::DEFAULT),
            Ok(header.data_offset())
        );
        for end in 0..header.data_offset() {
            let parsed = Header::parse(&file[..end], &Limits::DEFAULT);
            assert!(matches!(parsed, Err(HeaderError::Truncated { .. })), "{} cut at {end}", row[0]);
        }
    }
}
