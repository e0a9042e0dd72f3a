//! What holds for any bytes, any array and any descr.

use npyfeed_array::{ByteOrder, Dtype, MemoryOrder};
use npyfeed_npy::{Descr, Field, Header, HeaderError, Limits, MAX_AXES, TimeUnit, TooManyAxes, header_bytes};
use proptest::prelude::*;

/// A version 1.0 file that has `text` for a header.
fn file(text: &[u8]) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("texts of tests are short");
    [b"\x93NUMPY\x01\x00", &length.to_le_bytes()[..], text].concat()
}

/// Everything that a caller may do with bytes from a stranger.
fn check(bytes: &[u8]) {
    let prefix_bytes = Header::prefix_bytes(bytes, &Limits::DEFAULT);
    match Header::parse(bytes, &Limits::DEFAULT) {
        Err(error) => {
            assert!(error.offset() <= bytes.len(), "{error:?}");
            assert!(!error.to_string().is_empty());
        }
        Ok(header) => {
            assert_eq!(prefix_bytes, Ok(header.data_offset()));
            let needed_bytes = header.data_offset() as u64 + header.data_bytes().unwrap_or(0) as u64;
            assert_eq!(header.check_data(needed_bytes), Ok(()));
            assert_eq!(header.layout().is_ok(), matches!(header.descr(), Descr::Number { .. }));
        }
    }
}

fn memory_order() -> impl Strategy<Value = MemoryOrder> {
    prop_oneof![Just(MemoryOrder::C), Just(MemoryOrder::Fortran)]
}

fn byte_order() -> impl Strategy<Value = ByteOrder> {
    prop_oneof![Just(ByteOrder::Little), Just(ByteOrder::Big)]
}

fn dtype() -> impl Strategy<Value = Dtype> {
    prop::sample::select(&Dtype::ALL[..])
}

/// A small array most of the time, else the longest of its kind.
fn shape() -> impl Strategy<Value = Vec<usize>> {
    let any_length = prop_oneof![0..5_usize, 0..1_usize << 40];
    prop_oneof![
        prop::collection::vec(0..20_usize, 0..=5),
        prop::collection::vec(1..=2_usize, 0..=MAX_AXES / 2),
        prop::collection::vec(Just(1_usize), MAX_AXES - 1..=MAX_AXES),
        any_length.prop_map(|length| vec![length]),
    ]
}

proptest! {
    #[test]
    fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&bytes);
        check(&file(&bytes));
    }

    #[test]
    fn any_text_of_the_right_letters_is_parsed_or_refused(
        text in r#"[\[\](){}'",:\\ \n<>|=0-9a-zA-ZxuUL.é-]{0,120}"#,
        version in 1..=3_u8,
    ) {
        let mut bytes = [b"\x93NUMPY", &[version, 0][..], &[0; 4]].concat();
        let text_bytes = u16::try_from(text.len()).unwrap().to_le_bytes();
        bytes[8..10].copy_from_slice(&text_bytes);
        bytes.truncate(if version == 1 { 10 } else { 12 });
        bytes.extend_from_slice(text.as_bytes());
        check(&bytes);
        check(&file(format!("{{'descr': {text}").as_bytes()));
        check(&file(format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {text}").as_bytes()));
    }

    #[test]
    fn a_header_with_a_few_bytes_changed_is_parsed_or_refused(
        changes in prop::collection::vec((0..140_usize, any::<u8>()), 1..4),
        cut in 0..140_usize,
    ) {
        let text = b"{'descr': [('a', '<f4', (2,)), (('t', '\\xe9'), [('c', '|V3')])], \
                     'fortran_order': False, 'shape': (3, 4L), }   \n";
        let mut bytes = file(text);
        for (at, byte) in changes {
            let last = bytes.len() - 1;
            bytes[at.min(last)] = byte;
        }
        check(&bytes);
        bytes.truncate(cut);
        check(&bytes);
    }

    #[test]
    fn what_is_written_is_what_is_parsed(
        dtype in dtype(), byte_order in byte_order(), memory_order in memory_order(), shape in shape(),
    ) {
        let bytes = header_bytes(dtype, byte_order, memory_order, &shape).unwrap();
        let header = Header::parse(&bytes, &Limits::DEFAULT).unwrap();
        prop_assert_eq!(bytes.len() % 64, 0);
        prop_assert_eq!(header.data_offset(), bytes.len());
        prop_assert_eq!(header.version().numbers(), (1, 0));
        prop_assert_eq!(header.shape(), &shape[..]);
        let expected = if is_void(dtype) {
            let item_bytes = dtype.item_bytes();
            let byte_order = if item_bytes == 1 { ByteOrder::Little } else { byte_order };
            Descr::Void { item_bytes, byte_order: Some(byte_order) }
        } else {
            number(dtype, byte_order)
        };
        prop_assert_eq!(header.descr(), &expected);
        if header.memory_order() != memory_order {
            let longer_axes = shape.iter().filter(|&&length| length != 1).count();
            prop_assert!(memory_order == MemoryOrder::Fortran && (longer_axes < 2 || shape.contains(&0)));
        }
    }

    #[test]
    fn a_growing_array_keeps_the_size_of_its_header(
        dtype in dtype(), byte_order in byte_order(), sample in prop::collection::vec(0..1000_usize, 0..4),
        lengths in (any::<usize>(), any::<usize>()),
    ) {
        let header = |length| {
            let shape = [&[length], &sample[..]].concat();
            header_bytes(dtype, byte_order, MemoryOrder::C, &shape).unwrap()
        };
        prop_assert_eq!(header(lengths.0).len(), header(lengths.1).len());
    }

    #[test]
    fn every_descr_is_read_as_it_was_written(descr in descr(), space in "[ \t\n]{0,2}") {
        let text = format!("{{'descr': {}, 'fortran_order': True, 'shape': (0,)}}", literal(&descr, &space));
        let header = Header::parse(&file(text.as_bytes()), &Limits::DEFAULT).unwrap();
        prop_assert_eq!(header.descr(), &descr);
        prop_assert_eq!(header.descr().contains_object(), text.contains("|O"));
    }
}

/// Whether a file does not say what elements of this dtype are: bfloat16, `float8_e4m3fn`.
fn is_void(dtype: Dtype) -> bool {
    dtype.type_string().contains('V')
}

/// Any descr that NumPy may write, nested a few levels.
fn descr() -> impl Strategy<Value = Descr> {
    let unit = (1..100_usize, prop::sample::select(&TimeUnit::NAMES[..]))
        .prop_map(|(count, name)| TimeUnit { count, name })
        .boxed();
    let unit = prop_oneof![Just(TimeUnit::GENERIC), unit].boxed();
    let leaf = prop_oneof![
        (dtype(), byte_order())
            .prop_filter("written as void", |(dtype, _)| !is_void(*dtype))
            .prop_map(|(dtype, byte_order)| number(dtype, byte_order)),
        byte_order().prop_map(|byte_order| Descr::Float { item_bytes: 16, byte_order }),
        (prop::sample::select(vec![24_usize, 32]), byte_order())
            .prop_map(|(item_bytes, byte_order)| Descr::Complex { item_bytes, byte_order }),
        (0..99_usize, byte_order())
            .prop_map(|(characters, byte_order)| Descr::Text { characters, byte_order }),
        (0..99_usize).prop_map(|item_bytes| Descr::Bytes { item_bytes }),
        (0..99_usize, prop::option::of(byte_order()))
            .prop_map(|(item_bytes, byte_order)| Descr::Void { item_bytes, byte_order }),
        (unit.clone(), byte_order()).prop_map(|(unit, byte_order)| Descr::Datetime { unit, byte_order }),
        (unit, byte_order()).prop_map(|(unit, byte_order)| Descr::Timedelta { unit, byte_order }),
        Just(Descr::Object),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let name = || ".{0,4}".prop_map(String::into_boxed_str);
        let title = prop::option::weighted(0.2, name());
        prop_oneof![
            prop::collection::vec((title, inner.clone()), 0..4).prop_map(record),
            (inner, prop::collection::vec(0..4_usize, 0..4))
                .prop_map(|(element, shape)| subarray(element, shape)),
        ]
    })
}

/// A number as it is parsed: one byte has no order of its own.
fn number(dtype: Dtype, byte_order: ByteOrder) -> Descr {
    let byte_order = if dtype.item_bytes() == 1 { ByteOrder::NATIVE } else { byte_order };
    Descr::Number { dtype, byte_order }
}

/// A record whose fields have names of their own; a title makes its name a strange one.
fn record(members: Vec<(Option<Box<str>>, Descr)>) -> Descr {
    let item_bytes = members.iter().map(|(_, descr)| descr.item_bytes()).sum();
    let field = |(index, (title, descr)): (usize, (Option<Box<str>>, Descr))| Field {
        name: format!("{index} {}", title.as_deref().unwrap_or("")).into(),
        title: title.map(|title| format!("title {index} {title}").into()),
        descr,
    };
    Descr::Record { fields: members.into_iter().enumerate().map(field).collect(), item_bytes }
}

fn subarray(element: Descr, shape: Vec<usize>) -> Descr {
    let item_bytes = element.item_bytes() * shape.iter().product::<usize>();
    Descr::Subarray { element: Box::new(element), shape: shape.into(), item_bytes }
}

/// A descr as Python's `repr` writes it, with some white space.
fn literal(descr: &Descr, space: &str) -> String {
    let sign = |order: &ByteOrder| match order {
        ByteOrder::Little => '<',
        ByteOrder::Big => '>',
    };
    let unit = |unit: &TimeUnit| match *unit {
        TimeUnit::GENERIC => String::new(),
        TimeUnit { count, name } => format!("[{count}{name}]"),
    };
    match descr {
        Descr::Number { dtype, byte_order } => {
            let kind = &dtype.name()[..1];
            format!("'{}{kind}{}'", sign(byte_order), dtype.item_bytes())
        }
        Descr::Float { item_bytes, byte_order } => format!("'{}f{item_bytes}'", sign(byte_order)),
        Descr::Complex { item_bytes, byte_order } => format!("'{}c{item_bytes}'", sign(byte_order)),
        Descr::Text { characters, byte_order } => format!("'{}U{characters}'", sign(byte_order)),
        Descr::Bytes { item_bytes } => format!("'|S{item_bytes}'"),
        Descr::Void { item_bytes, byte_order } => {
            format!("'{}V{item_bytes}'", byte_order.as_ref().map_or('|', sign))
        }
        Descr::Datetime { unit: of, byte_order } => format!("'{}M8{}'", sign(byte_order), unit(of)),
        Descr::Timedelta { unit: of, byte_order } => format!("'{}m8{}'", sign(byte_order), unit(of)),
        Descr::Object => "'|O'".to_owned(),
        Descr::Record { fields, .. } => {
            let fields: Vec<String> = fields.iter().map(|field| field_literal(field, space)).collect();
            format!("[{space}{}{space}]", fields.join(&format!("{space},{space}")))
        }
        Descr::Subarray { element, shape, .. } => {
            format!("{space}({},{space}{})", literal(element, space), shape_literal(shape))
        }
    }
}

fn field_literal(field: &Field, space: &str) -> String {
    let name = match &field.title {
        None => string_literal(&field.name),
        Some(title) => format!("({}{space},{})", string_literal(title), string_literal(&field.name)),
    };
    if let Descr::Subarray { element, shape, .. } = &field.descr {
        return format!("({name},{space}{},{})", literal(element, space), shape_literal(shape));
    }
    format!("({name}{space},{})", literal(&field.descr, space))
}

fn shape_literal(shape: &[usize]) -> String {
    let lengths: Vec<String> = shape.iter().map(|length| format!("{length},")).collect();
    format!("({})", lengths.concat())
}

/// Latin-1 cannot hold every letter, so those beyond ASCII are escaped, each in the shortest way.
fn string_literal(text: &str) -> String {
    let escape = |letter: char| match (letter, u32::from(letter)) {
        ('\\' | '\'', _) => format!("\\{letter}"),
        ('\n', _) => r"\n".to_owned(),
        (_, code @ (0..0x20 | 0x7f..=0xff)) => format!(r"\x{code:02x}"),
        (_, 0x20..0x7f) => letter.to_string(),
        (_, code @ 0x100..=0xffff) => format!(r"\u{code:04x}"),
        (_, code) => format!(r"\U{code:08x}"),
    };
    format!("'{}'", text.chars().map(escape).collect::<String>())
}

#[test]
fn more_axes_than_numpy_reads_are_not_written() {
    let written = header_bytes(Dtype::U8, ByteOrder::NATIVE, MemoryOrder::C, &[1; MAX_AXES + 1]);
    assert_eq!(written, Err(TooManyAxes { axis_count: MAX_AXES + 1 }));
}

#[test]
fn the_limit_on_headers_is_exact_and_the_callers() {
    let bytes = header_bytes(Dtype::U8, ByteOrder::NATIVE, MemoryOrder::C, &[3]).unwrap();
    assert!(Header::parse(&bytes, &Limits { header_bytes: 128 }).is_ok());
    let refusal = Header::parse(&bytes, &Limits { header_bytes: 127 });
    assert_eq!(refusal, Err(HeaderError::HeaderTooLong { offset: 8, header_bytes: 128, limit_bytes: 127 }));
}

/// A version 2.0 file of `text`, as NumPy writes records of thousands of fields.
fn long_file(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("texts of tests are short").to_le_bytes();
    [b"\x93NUMPY\x02\x00", &length[..], text.as_bytes()].concat()
}

#[test]
fn a_record_of_twenty_thousand_fields_is_read() {
    use std::fmt::Write;
    let mut fields = String::new();
    for index in 0..20_000 {
        write!(fields, "('column_{index}', '<f8'), ").unwrap();
    }
    let text = format!("{{'descr': [{fields}], 'fortran_order': False, 'shape': (10,), }}");
    let header = Header::parse(&long_file(&text), &Limits::DEFAULT).unwrap();
    assert_eq!(header.descr().item_bytes(), 160_000);
    assert_eq!(header.data_bytes(), Some(1_600_000));
    let refusal = header.layout().unwrap_err().to_string();
    assert!(refusal.contains("'column_0', 'column_1'") && refusal.contains(" and 19992 more"), "{refusal}");
}
