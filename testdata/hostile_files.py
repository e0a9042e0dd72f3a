"""Files that are broken or lie. Each says at which byte it goes wrong and how the error must read."""

import io
import pickle
from collections.abc import Iterator

import numpy as np
from hostile_archives import hostile_archives
from hostile_case import Case
from numpy.lib import format as npy
from valid_files import counting, header, save

COLUMNS = ["file", "error", "offset", "message"]
NUMPY_MAX_AXES = 64

REST = b", 'fortran_order': False, 'shape': (3,), }\n"
DESCR_START = b"{'descr': "
SHAPE_START = b"{'descr': '<f4', 'fortran_order': False, 'shape': "
TEXT_OFFSET = 10


def hostile_files() -> dict[str, bytes]:
    """Every file by its name, and the manifest."""
    groups = [cut_short, other_files, pickles, not_a_dict, keys]
    groups += [shapes, orders, types, fields, strings, bombs]
    cases = [made._replace(name=f"{made.name}.npy") for group in groups for made in group()]
    cases += hostile_archives()
    files = {made.name: made.content for made in cases}
    assert len(files) == len(cases), "two files have one name"
    rows = sorted(row(made) for made in cases)
    return {**files, "manifest.txt": "\n".join(["\t".join(COLUMNS), *rows, ""]).encode()}


def row(made: Case) -> str:
    """The line of the manifest."""
    offset = "-" if made.offset is None else str(made.offset)
    return f"{made.name}\t{made.error}\t{offset}\t{made.message}"


def case(name: str, content: bytes, error: str, at: int | bytes | None, message: str) -> Case:
    """A case that goes wrong at byte `at`, or at the bytes `at`."""
    return Case(name, content, error, content.index(at) if isinstance(at, bytes) else at, message)


def shape_case(name: str, shape: bytes, error: str, at: bytes, message: str) -> Case:
    """A file whose shape is wrong at `at`."""
    content = header(SHAPE_START + shape + b", }\n") + bytes(12)
    return case(f"shape_{name}", content, error, content.index(at, TEXT_OFFSET + len(SHAPE_START)), message)


def descr_case(name: str, descr: bytes, error: str, at: bytes, message: str) -> Case:
    """A file whose descr is wrong at `at`."""
    content = header(DESCR_START + descr + REST) + bytes(12)
    return case(name, content, error, content.index(at, TEXT_OFFSET + len(DESCR_START)), message)


def cut_short() -> Iterator[Case]:
    """Files that end too early, or say that they are longer than they are."""
    whole = save(counting((3,), "<f4"))
    version_2 = header(b" " * 100, (2, 0))
    yield case("empty", b"", "Truncated", 0, "6 bytes of the magic string at byte 0, found 0")
    yield case("magic_cut", whole[:3], "Truncated", 0, "found 3")
    yield case("magic_only", whole[:6], "Truncated", 6, "2 bytes of the version at byte 6, found 0")
    yield case("version_cut", whole[:7], "Truncated", 6, "found 1")
    yield case(
        "length_missing", whole[:8], "Truncated", 8, "2 bytes of the length of the header at byte 8, found 0"
    )
    yield case("length_cut", whole[:9], "Truncated", 8, "found 1")
    yield case(
        "length_cut_version_2",
        version_2[:11],
        "Truncated",
        8,
        "4 bytes of the length of the header at byte 8, found 3",
    )
    yield case("header_missing", whole[:10], "Truncated", 10, "118 bytes of the header at byte 10, found 0")
    yield case(
        "header_cut",
        whole[:60],
        "Truncated",
        10,
        "118 bytes of the header at byte 10, found 50 (file cut short?)",
    )
    lying = whole[:8] + b"\xff\xff" + whole[10:]
    yield case(
        "length_beyond_file", lying, "Truncated", 10, "65535 bytes of the header at byte 10, found 130"
    )
    lying = version_2[:8] + b"\xff\xff\xff\xff" + version_2[12:]
    yield case("length_of_4_gib", lying, "HeaderTooLong", 8, "found 4294967307 stated at byte 8")
    yield case(
        "data_cut", whole[:-1], "DataTruncated", 128, "shape (3,) of float32 needs 12 bytes after the header"
    )
    yield case("data_missing", whole[:128], "DataTruncated", 128, "the file has 0 (truncated download?)")
    promise = header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }\n")
    yield case("data_of_8_tb", promise, "DataTruncated", len(promise), "needs 8000000000000 bytes")


def other_files() -> Iterator[Case]:
    """Files of other kinds and versions."""
    yield case("zip", b"PK\x03\x04\x14\x00" + bytes(40), "Magic", 0, "(a zip archive; an .npz file?)")
    yield case("pickle", pickle.dumps([1, 2, 3], protocol=4), "Magic", 0, "(a Python pickle?)")
    yield case("hdf5", b"\x89HDF\r\n\x1a\n" + bytes(40), "Magic", 0, "(an HDF5 file?)")
    yield case(
        "text",
        b"1.0,2.0\n3.0,4.0\n",
        "Magic",
        0,
        r"expected the magic string \x93NUMPY at byte 0, found '1.0,2.'",
    )
    yield case(
        "magic_in_small_letters", b"\x93numpy" + save(np.zeros(1))[6:], "Magic", 0, r"found '\x93numpy'"
    )
    for major, minor in [(0, 0), (1, 1), (4, 0), (255, 255)]:
        content = npy.magic(major, minor) + header(SHAPE_START + b"(3,), }\n")[8:] + bytes(12)
        message = f"expected format version 1.0, 2.0 or 3.0 at byte 6, found {major}.{minor}"
        yield case(f"version_{major}_{minor}", content, "UnknownVersion", 6, message)


def pickles() -> Iterator[Case]:
    """Arrays of Python objects: NumPy would unpickle them, and a pickle may run code."""
    objects = np.array([{"a": 1}, None, "text"], dtype=object)
    record = np.zeros(1, [("x", "<f4"), ("hidden", "O")])
    nested = np.zeros(1, [("x", "<f4"), ("inner", [("y", "u1"), ("hidden", "O", (2,))])])
    titled = np.zeros(1, [(("title", "hidden"), "O")])
    strings = np.array(["a", "b"], dtype=np.dtypes.StringDType())
    arrays = {"": objects, "_in_record": record, "_in_nested_record": nested, "_with_title": titled}
    for name, array in arrays.items():
        file = io.BytesIO()
        np.save(file, array, allow_pickle=True)
        yield case(
            f"object{name}", file.getvalue(), "Unsupported", None, "the file is a pickle, which may run code"
        )
    file = io.BytesIO()
    npy.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": strings.shape})
    pickle.dump(strings.tolist(), file, protocol=4)
    yield case("object_of_strings", file.getvalue(), "Unsupported", None, "its elements are Python objects")
    python_2 = header(DESCR_START + b"'|O8'" + REST) + pickle.dumps(objects, protocol=2)
    yield case("object_with_size", python_2, "Unsupported", None, "its elements are Python objects")


def not_a_dict() -> Iterator[Case]:
    """Headers that are something else, or more than a dict, or code."""
    texts = {
        "list": (b"['<f4', False, (3,)]\n", b"["),
        "string": (b"'{}'\n", b"'"),
        "number": (b"42\n", b"4"),
        "none": (b"None\n", b"None"),
        "dict_call": (b"dict(descr='<f4', fortran_order=False, shape=(3,))\n", b"dict"),
        "code": (b"__import__('os').system('true')\n", b"__import__"),
        "lambda": (b"(lambda: {'descr': '<f4'})()\n", b"("),
    }
    for name, (text, at) in texts.items():
        yield case(f"header_{name}", header(text), "Syntax", at, "expected a dict, '{' at byte 10, found")
    yield case(
        "header_of_no_bytes",
        header(b""),
        "Syntax",
        10,
        "expected a dict, '{' at byte 10, found the end of the header",
    )
    yield case("header_of_spaces", header(b"  \n"), "Syntax", 13, "found the end of the header")
    whole = b"{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}"
    more = {
        "second_dict": (whole + b" {}\n", b"{}"),
        "trailing_code": (whole + b".update()\n", b".update"),
        "trailing_comma": (whole + b",\n", b",\n"),
        "comment": (whole + b" # made by hand\n", b"#"),
        "padded_with_zeros": (whole + bytes(8), b"\x00" * 8),
    }
    for name, (text, at) in more.items():
        yield case(
            name, header(text) + bytes(12), "Syntax", at, "expected only padding after the dict at byte"
        )
    yield case("dict_not_closed", header(whole[:-1]), "Syntax", 10 + len(whole) - 1, "',' or '}'")
    yield case(
        "two_commas",
        header(whole.replace(b", 'f", b",, 'f")),
        "Syntax",
        b", 'f",
        "expected a key, such as 'shape'",
    )
    yield case("only_a_comma", header(b"{,}"), "Syntax", b",", "expected a key, such as 'shape'")


def keys() -> Iterator[Case]:
    """Dicts with keys that are missing, unknown, or there twice."""
    entries = {b"descr": b"'<f4'", b"fortran_order": b"False", b"shape": b"(3,)"}
    for missing, value in entries.items():
        text = (
            b"{" + b", ".join(b"'%s': %s" % entry for entry in entries.items() if entry[0] != missing) + b"}"
        )
        message = f"expected the key '{missing.decode()}' in the dict that ends at byte"
        yield case(f"key_missing_{missing.decode()}", header(text) + bytes(12), "MissingKey", b"}", message)
        again = header(SHAPE_START + b"(3,), '%s': %s, }\n" % (missing, value)) + bytes(12)
        at = again.rindex(b"'%s'" % missing)
        message = f"expected each key once, found '{missing.decode()}' again at byte {at}"
        yield case(f"key_twice_{missing.decode()}", again, "Repeated", at, message)
    yield case("dict_empty", header(b"{}\n"), "MissingKey", b"}", "expected the key 'shape'")
    more = header(SHAPE_START + b"(3,), 'strides': (4,), }\n") + bytes(12)
    yield case("key_unknown", more, "UnknownKey", b"'strides'", "found 'strides'")
    small = header(SHAPE_START.replace(b"descr", b"Descr") + b"(3,), }\n") + bytes(12)
    yield case("key_in_capitals", small, "UnknownKey", b"'Descr'", "found 'Descr'")
    number = header(SHAPE_START + b"(3,), 1: 2, }\n")
    yield case("key_a_number", number, "Syntax", b"1:", "expected a key, such as 'shape' at byte")
    no_colon = header(b"{'descr' '<f4'" + REST)
    yield case(
        "colon_missing", no_colon, "Syntax", b"'<f4'", "expected ':' after the key at byte 19, found a string"
    )


def shapes() -> Iterator[Case]:
    """Shapes that no array has."""
    length = "expected an axis length (an integer of 0 or more) at byte"
    wrong = {
        "negative": (b"(-3,)", b"-3", "'-3'"),
        "float": (b"(3.0,)", b"3.0", "'3.0'"),
        "exponent": (b"(1e3,)", b"1e3", "'1e3'"),
        "bool": (b"(True,)", b"True", "'True'"),
        "none": (b"(None,)", b"None", "'None'"),
        "string": (b"('3',)", b"'3'", "a string"),
        "tuple": (b"((3,),)", b"(3,)", "'('"),
        "hexadecimal": (b"(0x3,)", b"0x3", "'0x3'"),
        "octal": (b"(010,)", b"010", "'010'"),
        "underscore": (b"(1_0,)", b"1_0", "'1_0'"),
        "complex": (b"(3j,)", b"3j", "'3j'"),
        "code": (b"(len('abc'),)", b"len", "'len'"),
        "only_a_comma": (b"(,)", b",)", "','"),
        "sign_alone": (b"(-,)", b"-,", "'-'"),
        "two_longs": (b"(3LL,)", b"3LL", "'3LL'"),
        "small_long": (b"(3l,)", b"3l", "'3l'"),
    }
    for name, (shape, at, found) in wrong.items():
        offset = TEXT_OFFSET + len(SHAPE_START) + shape.index(at)
        yield shape_case(name, shape, "Syntax", at, f"{length} {offset}, found {found}")
    yield shape_case("product", b"(3*1,)", "Syntax", b"*1", "expected ',' after the only length, as in (3,),")
    yield shape_case("not_closed", b"(3, 4", "Syntax", b"}", "found '}'")
    yield shape_case(
        "a_number", b"3", "Syntax", b"3,", "expected a tuple of axis lengths, such as (3, 4) at byte"
    )
    yield shape_case(
        "a_list", b"[3]", "Syntax", b"[3]", "expected a tuple of axis lengths, such as (3, 4) at byte"
    )
    yield shape_case(
        "in_parentheses", b"(3)", "Syntax", b"), }", "expected ',' after the only length, as in (3,),"
    )
    too_large = "expected a shape that this machine can address at byte"
    yield shape_case("overflow", b"(4294967296, 4294967296)", "ShapeTooLarge", b"(4", too_large)
    yield shape_case(
        "overflow_of_bytes",
        b"(4611686018427387904,)",
        "ShapeTooLarge",
        b"(4",
        "(4611686018427387904,) of float32",
    )
    yield shape_case("overflow_empty", b"(0, 9223372036854775807, 9)", "ShapeTooLarge", b"(0", too_large)
    yield shape_case(
        "beyond_64_bits",
        b"(18446744073709551616,)",
        "ShapeTooLarge",
        b"1844",
        "found '18446744073709551616'",
    )
    yield shape_case("of_300_digits", b"(" + b"9" * 300 + b",)", "ShapeTooLarge", b"999", "9999…'")
    content = header(SHAPE_START + b"(" + b"1, " * NUMPY_MAX_AXES + b"2), }\n") + bytes(8)
    yield case(
        "shape_of_65_axes",
        content,
        "TooManyAxes",
        b"2), }",
        "expected at most 64 axes, found one more at byte",
    )
    long_3 = header(SHAPE_START + b"(3L,), }\n", (3, 0)) + bytes(12)
    yield case("python_2_version_3", long_3, "Syntax", b"3L", "found '3L'")


def orders() -> Iterator[Case]:
    """Orders that are neither true nor false."""
    values = {
        "number": b"0",
        "string": b"'False'",
        "none": b"None",
        "small": b"false",
        "longer": b"Falsehood",
    }
    for name, value in values.items():
        text = b"{'descr': '<f4', 'fortran_order': %s, 'shape': (3,), }\n" % value
        yield case(
            f"order_{name}", header(text) + bytes(12), "Syntax", 44, "expected True or False at byte 44"
        )


def types() -> Iterator[Case]:
    """Types that do not exist, and things that are no types."""
    unknown = [
        "float32",
        "<f3",
        "<i16",
        "<x4",
        "<f4 ",
        " <f4",
        "",
        "<",
        "f",
        "<f",
        "<f+4",
        "<f04",
        "i4,f4",
        "3f4",
        "(2,)f4",
    ]
    unknown += [
        "<c4",
        "|b2",
        "|V-1",
        "|V99999999999",
        "<U999999999",
        "<M8[fortnight]",
        "<M8[0s]",
        "<M8[s",
        "<M4[s]",
        "|O16",
        "<é4",
    ]
    for index, text in enumerate(unknown):
        descr = b"'%s'" % text.encode("latin1")
        message = f"expected a NumPy type string, such as '<f4', at byte 20, found '{text}'"
        yield descr_case(f"type_unknown_{index:02}", descr, "UnknownType", descr, message)
    expected = "expected a type string, such as '<f4', or a list of fields at byte 20, found"
    for name, descr in {
        "none": b"None",
        "number": b"4",
        "dict": b"{'names': ['a']}",
        "code": b"eval('1')",
    }.items():
        yield descr_case(f"type_{name}", descr, "Syntax", descr, expected)


def fields() -> Iterator[Case]:
    """Fields of records that are no fields, and records of impossible size."""
    wrong = {
        "alone": (b"[('a',)]", b")]", "expected a type string"),
        "not_a_tuple": (b"['<f4']", b"'<f4'", "expected a field, such as ('name', '<f4') at byte"),
        "name_a_number": (b"[(1, '<f4')]", b"1,", "expected a field name at byte"),
        "title_alone": (b"[(('t',), '<f4')]", b"),", "expected a field name at byte"),
        "shape_a_number": (b"[('a', '<f4', 3)]", b"3)", "expected a tuple of axis lengths"),
        "of_four": (b"[('a', '<f4', (3,), 0)]", b"0)", "expected ',' or ')' at byte"),
        "comma_missing": (b"[('a' '<f4')]", b"'<f4'", "expected ',' and the type of the field at byte"),
    }
    for name, (descr, at, message) in wrong.items():
        yield descr_case(f"field_{name}", descr, "Syntax", at, message)
    yield descr_case(
        "field_twice",
        b"[('a', '<f4'), ('a', '<i4')]",
        "Repeated",
        b"('a', '<i4')",
        "each field name once, found 'a' again",
    )
    yield descr_case("field_type_unknown", b"[('a', '<f9')]", "UnknownType", b"'<f9'", "found '<f9'")
    large = "expected an element of at most 2147483647 bytes"
    yield descr_case("item_too_large", b"[('a', '<f4', (65536, 65536))]", "ItemTooLarge", b"('a'", large)
    yield descr_case(
        "item_overflow", b"[('a', '<f4', (4294967296, 4294967296))]", "ItemTooLarge", b"('a'", large
    )
    yield descr_case(
        "item_sum_too_large", b"[('a', '|V2147483647'), ('b', '|V1')]", "ItemTooLarge", b"[('a'", large
    )


def strings() -> Iterator[Case]:
    """Strings that are not closed, not encoded, or not escaped as they should be."""
    not_closed = "expected the closing quote of a string at byte"
    yield descr_case("string_of_two_lines", b"'<f4\n'", "Syntax", b"\n'", not_closed)
    yield descr_case("string_with_zero", b"'<f4\x00'", "Syntax", b"\x00'", not_closed)
    cut = header(b"{'descr': '<f4")
    yield case("string_not_closed", cut, "Syntax", len(cut), not_closed)
    backslash = header(b"{'descr': '<f4\\")
    yield case("string_ends_in_backslash", backslash, "Syntax", b"\\", "expected an escape of one character")
    yield descr_case("string_of_bytes", b"b'<f4'", "Syntax", b"b'", "expected a type string")
    yield descr_case("string_raw", b"r'<f4'", "Syntax", b"r'", "expected a type string")
    yield descr_case("strings_side_by_side", b"'<' 'f4'", "UnknownType", b"'<'", "found '<'")
    for name, escape in {
        "octal": rb"\146",
        "bell": rb"\a",
        "name": rb"\N{DIGIT FOUR}",
        "hex_cut": rb"\x6'",
    }.items():
        yield descr_case(
            f"escape_{name}", b"'<" + escape + b"'", "Syntax", b"\\", "expected an escape of one character"
        )
    surrogate = rb"[('\ud800', '<f4')]"
    yield descr_case("escape_of_half_a_character", surrogate, "Syntax", b"\\", r"found '\ud800")
    yield descr_case("escape_beyond_unicode", rb"'\U00110000'", "Syntax", b"\\", r"found '\U00110000'")
    for name, bad in {"not_utf8": b"\xff", "utf8_cut": b"\xe6\x97", "utf8_overlong": b"\xc0\x80"}.items():
        content = header(b"{'descr': [('a" + bad + b"', '<f4')]" + REST, (3, 0)) + bytes(12)
        yield case(name, content, "NotUtf8", bad, "expected UTF-8, the encoding of version 3.0, at byte")
    outside = header(b"{\xa0'descr': '<f4'" + REST) + bytes(12)
    yield case("space_of_latin1", outside, "Syntax", b"\xa0", "found byte 0xa0")


def bombs() -> Iterator[Case]:
    """Small files that would take much time, memory or stack if they could."""
    deep = 400
    too_deep = "expected at most 32 brackets inside each other, found one more at byte"
    start = TEXT_OFFSET + len(DESCR_START)
    records = header(DESCR_START + b"[('a', " * 200 + b"'<f4'" + b")]" * 200 + REST)
    yield case("bomb_of_records", records, "TooDeep", start + 15 * len(b"[('a', ") + 1, too_deep)
    yield case("bomb_of_tuples", header(DESCR_START + b"(" * deep + REST), "TooDeep", start + 31, too_deep)
    yield case(
        "bomb_of_lists", header(DESCR_START + b"[" * deep + REST), "Syntax", start + 1, "expected a field"
    )
    in_shape = header(SHAPE_START + b"(" * deep + b", }\n")
    yield case("bomb_of_shapes", in_shape, "Syntax", TEXT_OFFSET + len(SHAPE_START) + 1, "an axis length")
    yield case("bomb_of_dicts", header(b"{" * deep), "Syntax", TEXT_OFFSET + 1, "expected a key")
    backslashes = header(b"{'" + rb"\\" * deep)
    yield case("bomb_of_backslashes", backslashes, "Syntax", len(backslashes), "the closing quote")
