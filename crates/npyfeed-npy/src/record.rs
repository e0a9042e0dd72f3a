//! How the value of the key `descr` is written: a type string, a list of fields, or a type and a shape.
//!
//! Source of the grammar: `dtype_to_descr` and `descr_to_dtype` of `numpy.lib.format`.

use std::collections::HashSet;

use crate::descr::{Descr, Field};
use crate::error::{HeaderError, excerpt};
use crate::limits::MAX_ITEM_BYTES;
use crate::literal::{Brackets, Reader};
use crate::type_string;

/// Reads what stands behind the key `descr`, or inside it.
pub(crate) fn descr(reader: &mut Reader<'_>) -> Result<Descr, HeaderError> {
    match reader.peek() {
        Some(b'[') => record(reader),
        Some(b'(') => subarray(reader),
        Some(_) | None => {
            let offset = reader.offset();
            let text = reader.string("a type string, such as '<f4', or a list of fields")?;
            type_string::parse(&text)
                .ok_or_else(|| HeaderError::UnknownType { offset, found: excerpt(&text) })
        }
    }
}

fn record(reader: &mut Reader<'_>) -> Result<Descr, HeaderError> {
    let offset = reader.offset();
    let mut item_bytes = Some(0_usize);
    let mut fields = Vec::new();
    let mut field_offsets = Vec::new();
    reader.items(Brackets::List, "a list of fields", |reader| {
        field_offsets.push(reader.offset());
        let field = field(reader)?;
        item_bytes = item_bytes.and_then(|bytes| bytes.checked_add(field.descr.item_bytes()));
        fields.push(field);
        Ok(())
    })?;
    check_names(&fields, &field_offsets)?;
    Ok(Descr::Record { fields, item_bytes: within_limit(item_bytes, offset)? })
}

/// `('name', type)`, `('name', type, shape)` or `(('title', 'name'), type)`.
fn field(reader: &mut Reader<'_>) -> Result<Field, HeaderError> {
    let offset = reader.offset();
    reader.open(Brackets::Tuple, "a field, such as ('name', '<f4')")?;
    let (title, name) = field_name(reader)?;
    reader.need(b',', "',' and the type of the field")?;
    let element = descr(reader)?;
    let field_descr = if reader.more(Brackets::Tuple) {
        let shape = reader.shape()?;
        reader.take(b',');
        subarray_of(element, shape, offset)?
    } else {
        element
    };
    reader.close(Brackets::Tuple)?;
    Ok(Field { name, title, descr: field_descr })
}

/// The title, if there is one, and the name.
fn field_name(reader: &mut Reader<'_>) -> Result<(Option<Box<str>>, Box<str>), HeaderError> {
    if reader.peek() != Some(b'(') {
        return Ok((None, reader.string("a field name")?.into()));
    }
    reader.open(Brackets::Tuple, "a title and a name")?;
    let title = reader.string("a field title")?;
    reader.need(b',', "',' and the name of the field")?;
    let name = reader.string("a field name")?;
    reader.take(b',');
    reader.close(Brackets::Tuple)?;
    Ok((Some(title.into()), name.into()))
}

/// NumPy looks fields up by name and by title, so both must be there once. Padding has no name.
fn check_names(fields: &[Field], field_offsets: &[usize]) -> Result<(), HeaderError> {
    let mut seen = HashSet::with_capacity(fields.len());
    for (field, &offset) in fields.iter().zip(field_offsets) {
        for name in [Some(&field.name), field.title.as_ref()].into_iter().flatten() {
            if !name.is_empty() && !seen.insert(name) {
                return Err(HeaderError::Repeated { offset, what: "field name", name: excerpt(name) });
            }
        }
    }
    Ok(())
}

/// `('<f4', (2, 3))`, which NumPy writes for an array of arrays inside a field.
fn subarray(reader: &mut Reader<'_>) -> Result<Descr, HeaderError> {
    let offset = reader.offset();
    reader.open(Brackets::Tuple, "a type and a shape")?;
    let element = descr(reader)?;
    reader.need(b',', "',' and the shape of the subarray")?;
    let shape = reader.shape()?;
    reader.take(b',');
    reader.close(Brackets::Tuple)?;
    subarray_of(element, shape, offset)
}

fn subarray_of(element: Descr, shape: Vec<usize>, offset: usize) -> Result<Descr, HeaderError> {
    // An axis of length 0 does not excuse the others, as with the shape of the array itself.
    let spanned =
        shape.iter().try_fold(element.item_bytes(), |bytes, &length| bytes.checked_mul(length.max(1)));
    let spanned_bytes = within_limit(spanned, offset)?;
    let item_bytes = if shape.contains(&0) { 0 } else { spanned_bytes };
    Ok(Descr::Subarray { element: Box::new(element), shape: shape.into(), item_bytes })
}

fn within_limit(item_bytes: Option<usize>, offset: usize) -> Result<usize, HeaderError> {
    item_bytes
        .filter(|&bytes| bytes <= MAX_ITEM_BYTES)
        .ok_or(HeaderError::ItemTooLarge { offset, limit_bytes: MAX_ITEM_BYTES })
}
