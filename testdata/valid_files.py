"""Files that NumPy opens: those it writes, and those that other programs and older versions write."""

import io
import struct
import warnings

import numpy as np
from numpy.lib import _format_impl as npy  # the public module hides how a header of version 3.0 is read

NUMBERS = ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"]
SHAPES = {"scalar": (), "empty": (0,), "one": (1,), "row": (3,), "block": (2, 3, 4)}
KINDS = {"b": "number", "i": "number", "u": "number", "U": "text", "S": "bytes", "V": "void"}
KINDS |= {"M": "datetime", "m": "timedelta"}
COLUMNS = ["file", "kind", "name", "byte_order", "memory_order", "shape", "item_bytes", "data_offset"]
COLUMNS += ["version", "written_by"]


def valid_files() -> dict[str, bytes]:
    """Every file by its name, and the manifest."""
    saved = {**numbers(), **orders(), **other_types(), **records()}
    typed_in = versions() | by_hand() | descrs_by_hand()
    rows = [row(name, content, "numpy.save") for name, content in saved.items()]
    rows += [row(name, content, "hand") for name, content in typed_in.items()]
    manifest = "\n".join(["\t".join(COLUMNS), *sorted(rows), ""])
    return {**saved, **typed_in, "manifest.txt": manifest.encode()}


def row(name: str, content: bytes, written_by: str) -> str:
    """The line of the manifest: what NumPy reads out of the header."""
    file = io.BytesIO(content)
    version = npy.read_magic(file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "created on Python 2"
        shape, is_fortran, dtype = npy._read_array_header(file, version)  # noqa: SLF001 see the import
    data_offset = file.tell()
    assert len(content) >= data_offset + dtype.itemsize * int(np.prod(shape)), name
    kind, type_name = kind_and_name(dtype)
    byte_order = {"<": "little", "=": "little", ">": "big", "|": "-"}[dtype.byteorder]
    lengths = ",".join(map(str, shape)) or "-"
    order = "fortran" if is_fortran else "c"
    version_text = ".".join(map(str, version))
    fields = [
        name,
        kind,
        type_name,
        byte_order,
        order,
        lengths,
        dtype.itemsize,
        data_offset,
        version_text,
        written_by,
    ]
    return "\t".join(map(str, fields))


def kind_and_name(dtype: np.dtype) -> tuple[str, str]:
    """The kind of a dtype, and NumPy's name for it, or the names of its fields."""
    if dtype.names is not None:
        names = (name.replace("\\", r"\\").replace("\t", r"\t").replace("\n", r"\n") for name in dtype.names)
        return "record", ";".join(names) or "-"
    if dtype.kind == "f":
        return ("float" if dtype.itemsize == np.dtype("g").itemsize else "number"), dtype.name
    if dtype.kind == "c":
        return ("complex" if dtype.itemsize == np.dtype("G").itemsize else "number"), dtype.name
    return KINDS[dtype.kind], ("-" if dtype.kind in "USV" else dtype.name)


def save(array: np.ndarray) -> bytes:
    """What `numpy.save` writes."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def counting(shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> np.ndarray:
    """The numbers 0, 1, 2, ... in a shape."""
    return np.arange(int(np.prod(shape))).reshape(shape).astype(dtype)


def numbers() -> dict[str, bytes]:
    """Every number that NumPy has, in every kind of shape, little-endian and in C order."""
    return {
        f"{np.dtype(code).name}_{name}.npy": save(counting(shape, np.dtype(code).newbyteorder("<")))
        for code in NUMBERS
        for name, shape in SHAPES.items()
    }


def orders() -> dict[str, bytes]:
    """The other byte order and the other memory order."""
    files = {
        f"big_endian_{np.dtype(code).name}.npy": save(counting((3,), np.dtype(code).newbyteorder(">")))
        for code in NUMBERS
        if np.dtype(code).itemsize > 1
    }
    files["fortran.npy"] = save(np.asfortranarray(counting((2, 3, 4), "<f4")))
    files["fortran_uint8.npy"] = save(np.asfortranarray(counting((3, 5), "u1")))
    files["fortran_big_endian.npy"] = save(np.asfortranarray(counting((3, 100), ">i2")))
    # These lie in both orders, and NumPy then says C.
    files["fortran_of_one_axis.npy"] = save(np.asfortranarray(counting((5,), "<i4")))
    files["fortran_of_one_row.npy"] = save(np.asfortranarray(counting((1, 5, 1), "<i4")))
    files["fortran_empty.npy"] = save(np.asfortranarray(counting((3, 0, 2), "<i4")))
    files["axes_64.npy"] = save(counting((1,) * 63 + (2,), "u1"))
    files["long_axis.npy"] = save(np.zeros((2**40, 0), "<f8"))
    return files


def other_types() -> dict[str, bytes]:
    """Elements that are no plain numbers."""
    day = np.array(["2001-02-03", "NaT"], "<M8[D]")
    span = np.array([1, -2], "<i8")
    return {
        "complex64.npy": save(counting((2, 3), "<c8") * 1j),
        "complex128_big_endian.npy": save(counting((3,), ">c16")),
        "complex256.npy": save(np.zeros(2, "<c32")),
        "float128.npy": save(np.zeros(2, "<f16")),
        "text.npy": save(np.array(["a", "été", "日本語です"], "<U5")),
        "text_big_endian.npy": save(np.array(["abc"], ">U3")),
        "bytes.npy": save(np.array([b"abc", b"d"], "S3")),
        "void.npy": save(np.frombuffer(bytes(range(16)), "V8")),
        "void_of_no_bytes.npy": save(np.zeros(3, "V0")),
        "datetime_day.npy": save(day),
        "datetime_ns.npy": save(day.astype("<M8[ns]")),
        "datetime_25s_big_endian.npy": save(day.astype(">M8[25s]")),
        "datetime_generic.npy": save(np.array(["NaT"], "<M8")),
        "timedelta_s.npy": save(span.astype("<m8[s]")),
        "timedelta_generic.npy": save(span.astype("<m8")),
    }


def records() -> dict[str, bytes]:
    """Elements with named fields."""
    nested = [("at", [("x", "<f4"), ("y", ">f4")]), ("tags", [("id", "<u2"), ("flag", "?")], (2,))]
    quotes = ["it's", 'say "x"', "both '\"", "back\\slash", "tab\tline\n", "del\x7f"]
    dtypes = {
        "record": [("a", "<f4"), ("b", "u1", (2, 3)), ("c", "S4")],
        "record_nested": nested,
        "record_titles": [(("first title", "a"), "<f4"), (("second title", "b"), "<i2", (2,))],
        "record_subarray_of_subarrays": [("a", ("<f4", (2,)), (3,))],
        "record_padded": np.dtype([("a", "i1"), ("b", "<f8"), ("c", "<i2")], align=True),
        "record_without_fields": np.dtype([]),
        "record_quotes": [(name, "<i4") for name in quotes],
        "record_latin1": [("é", "<f4"), ("ß", "<f4")],
        "record_dates": [("at", "<M8[ns]"), ("for", "<m8[s]"), ("z", "<c8")],
        "record_wide": [(f"field_{index}", "<f4") for index in range(40)],
    }
    files = {f"{name}.npy": save(np.zeros(2, dtype)) for name, dtype in dtypes.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "stored in format 3.0"
        names = [("日本", "<f4"), ("Ω é", "<f4"), ("😀", "<f4"), ("line\u2028", "<f4")]
        files["record_utf8.npy"] = save(np.zeros(2, names))
    return files


def versions() -> dict[str, bytes]:
    """Numbers in the versions that NumPy writes only if it is told to."""
    files = {}
    for name, shape in SHAPES.items():
        for version in [(2, 0), (3, 0)]:
            file = io.BytesIO()
            npy.write_array(file, counting(shape, "<i2"), version=version)
            files[f"version_{version[0]}_{name}.npy"] = file.getvalue()
    return files


def header(text: str | bytes, version: tuple[int, int] = (1, 0)) -> bytes:
    """A header with `text` as it is, without padding."""
    text = text.encode() if isinstance(text, str) else text
    return npy.magic(*version) + struct.pack("<H" if version[0] == 1 else "<I", len(text)) + text


def by_hand() -> dict[str, bytes]:
    """The same six float32 as other programs may write them. No header is aligned unless it says so."""
    data = counting((2, 3), "<f4").tobytes()
    texts = {
        "other_key_order": "{'shape': (2, 3), 'fortran_order': False, 'descr': '<f4'}\n",
        "double_quotes": '{"descr": "<f4", "fortran_order": False, "shape": (2, 3)}\n',
        "no_white_space": "{'descr':'<f4','fortran_order':False,'shape':(2,3)}",
        "much_white_space": " \t{ \n'descr' :\t'<f4'\r\n, 'fortran_order':\x0c False ,\r\n"
        "'shape' : ( 2 ,\n3 , ) , }\n\n \t\n",
        "python_2": "{'descr': '<f4', 'fortran_order': False, 'shape': (2L, 3L), }          \n",
        "unicode_strings": "{u'descr': u'<f4', u'fortran_order': False, u'shape': (2, 3)}\n",
        "escapes": r"{'d\x65scr': '\u003cf4', 'fortran\x5forder': False, 'sh\U00000061pe': (2, 3)}",
        "fortran_by_hand": "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3)}\n",
        "not_aligned": "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3)} \n",
        "aligned_to_16": "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }".ljust(69) + "\n",
    }
    files = {f"{name}.npy": header(text) + data for name, text in texts.items()}
    files["python_2_version_2.npy"] = header(texts["python_2"], (2, 0)) + data
    files["more_bytes_than_needed.npy"] = header(texts["not_aligned"]) + data + b"what follows is not ours"
    return files


def descrs_by_hand() -> dict[str, bytes]:
    """Descrs that NumPy reads and does not write, or not any more, or that other packages write."""
    descrs = {
        "native_order": "'=f8'",
        "no_order": "'f8'",
        "order_of_one_byte": "'>u1'",
        "no_order_of_many_bytes": "'|i4'",
        # What `ml_dtypes.bfloat16` becomes: NumPy reads two raw bytes.
        "bfloat16": "'<V2'",
        "record_list_by_hand": "[ ( 'a' , '<f4' ) , ( 'b','|u1',(2,3,), ), ]",
        "record_python_2": "[((u'title', 'a'), '<f4'), ('b', '<i8', (2L,))]",
        "record_escapes_python_2": r"[('\xe9t\xe9', '<f4')]",
    }
    text = "{{'descr': {}, 'fortran_order': False, 'shape': (2,), }}\n"
    return {f"{name}.npy": header(text.format(descr)) + bytes(64) for name, descr in descrs.items()}
