"""Archives that are broken or lie, each in one thing; as `hostile_files.py`, which these are written for."""

import io
import pickle
import struct
from collections.abc import Iterator

import numpy as np
from hostile_case import Case
from numpy.lib import format as npy
from valid_files import counting, header, save
from zip_records import (
    ENCRYPTED,
    END_BYTES,
    ENTRY_BYTES,
    LOCAL_BYTES,
    LOCATOR_BYTES,
    SEE_ZIP64,
    UTF8,
    WIDE_END_BYTES,
    End,
    Member,
    archive,
    body_and_directory,
    deflated,
    deflated_zeros,
    end_record,
    locator_record,
    stored,
    wide_end_record,
    zip64_extra,
)

PLAIN = save(counting((3,), "<f4"))
A = stored(b"a.npy", PLAIN)
B = deflated(b"b.npy", PLAIN)
PAIR = [A, B]
WHOLE = archive(PAIR)
BODY, DIRECTORY = body_and_directory(PAIR)
END = len(WHOLE) - END_BYTES
B_START = LOCAL_BYTES + len(b"a.npy") + len(PLAIN)
MOST_TIMES = 1032  # what deflate can be inflated to: 258 bytes for 2 bits


def hostile_archives() -> Iterator[Case]:
    """Every archive."""
    groups = [
        cut_archives,
        ends,
        entries,
        zip64,
        names,
        places,
        local_headers,
        methods,
        bombs,
        damaged,
        members,
    ]
    for group in groups:
        for case in group():
            yield case._replace(name=f"{case.name}.npz")


def changed(content: bytes, at: int, to: bytes) -> bytes:
    """`content` with other bytes at `at`."""
    return content[:at] + to + content[at + len(to) :]


def cut_archives() -> Iterator[Case]:
    """Archives that end too early, or go on."""
    none = "found none (truncated download?)"
    yield Case("cut_by_a_byte", WHOLE[:-1], "NoEnd", 0, none)
    yield Case("cut_before_the_end", WHOLE[:END], "NoEnd", 0, none)
    yield Case("cut_in_the_directory", WHOLE[: END - 20], "NoEnd", 0, none)
    yield Case("cut_before_the_directory", BODY, "NoEnd", 0, none)
    yield Case("cut_in_a_member", BODY[:100], "NoEnd", 0, none)
    yield Case("cut_in_a_local_header", BODY[:20], "NoEnd", 0, none)
    yield Case("only_a_signature", b"PK\x03\x04", "NoEnd", 0, none)
    yield Case("only_the_signature_of_an_end", b"PK\x05\x06", "NoEnd", 0, none)
    yield Case("bytes_behind_the_end", WHOLE + b"more", "NoEnd", 0, none)
    yield Case("comment_missing", archive(PAIR, comment_bytes=9), "NoEnd", 0, none)
    yield Case("comment_shorter_than_stated", archive(PAIR, comment_bytes=9) + b"12345678", "NoEnd", 0, none)


def ends() -> Iterator[Case]:
    """Ends that lie about what stands before them."""
    parts = "that it is one of several parts"
    yield Case("end_of_another_disk", archive(PAIR, disk=1), "ManyDisks", END, parts)
    yield Case("end_of_members_elsewhere", archive(PAIR, count_here=1), "ManyDisks", END, parts)
    count = "expected at most 2 members, found 65535"
    yield Case("count_of_65535", archive(PAIR, count=0xFFFF), "MemberCount", END, count)
    first_end = len(BODY) + ENTRY_BYTES + len(b"a.npy")
    tail = f"expected the directory to end at byte {END}, found its last member ending at byte"
    yield Case("count_of_one_of_two", archive(PAIR, count=1), "DirectoryTail", first_end, tail)
    yield Case("count_of_none_of_two", archive(PAIR, count=0), "DirectoryTail", len(BODY), tail)
    size = f"expected a directory of at most {END} bytes before byte {END}, found"
    yield Case("directory_of_4_gib", archive(PAIR, directory_bytes=SEE_ZIP64), "DirectorySize", END, size)
    yield Case(
        "directory_beyond_the_start", archive(PAIR, directory_bytes=END + 1), "DirectorySize", END, size
    )
    none = archive(PAIR, directory_bytes=0, directory_offset=END)
    yield Case("directory_of_no_bytes", none, "MemberCount", END, "expected at most 0 members, found 2")
    offset = f"expected the offset of the directory to be {len(BODY)}, found"
    for name, found in {"by_a_byte": len(BODY) + 1, "at_its_end": END, "at_4_gib": SEE_ZIP64}.items():
        content = archive(PAIR, directory_offset=found)
        yield Case(f"directory_misplaced_{name}", content, "Disagreement", END, f"{offset} {found}")
    shifted = archive(PAIR, directory_bytes=len(DIRECTORY) - 1)
    signature = r"expected a directory entry, 'PK\x01\x02', at byte"
    yield Case("directory_shorter_by_a_byte", shifted, "Signature", len(BODY) + 1, signature)
    longer = archive(PAIR, directory_bytes=len(DIRECTORY) + 1, directory_offset=len(BODY) - 1)
    yield Case("directory_longer_by_a_byte", longer, "Signature", len(BODY) - 1, signature)
    alone = bytes(END) + end_record(End(2, 2 * ENTRY_BYTES, END - 2 * ENTRY_BYTES))
    yield Case("directory_of_zeros", alone, "Signature", END - 2 * ENTRY_BYTES, signature)


def entries() -> Iterator[Case]:
    """Entries of the directory that are cut or no entries."""
    at = len(BODY)
    signature = r"expected a directory entry, 'PK\x01\x02', at byte"
    yield Case("entry_of_another_kind", changed(WHOLE, at, b"X"), "Signature", at, signature)
    behind = at + ENTRY_BYTES
    lengths = {"name": (28, behind), "extra": (30, behind + 5), "comment": (32, behind + 5)}
    parts = {"name": "the name", "extra": "the extra fields", "comment": "the comment"}
    for name, (place, found) in lengths.items():
        content = changed(WHOLE, at + place, b"\xff\xff")
        message = f"expected 65535 bytes of {parts[name]} of a member at byte {found}"
        yield Case(f"entry_with_endless_{name}", content, "Truncated", found, message)
    beyond = A._replace(entry_extra=struct.pack("<HHB", 9, 99, 0))
    found = len(archive([beyond])) - END_BYTES - 1
    message = "expected 99 bytes of an extra field"
    yield Case("extra_field_beyond_the_others", archive([beyond]), "Truncated", found, message)


def zip64() -> Iterator[Case]:
    """Numbers of 64 bits that lie, or that are not there."""
    yield from zip64_ends()
    missing = A.says(compressed=SEE_ZIP64, plain=SEE_ZIP64)
    needed = f"expected {LOCAL_BYTES + 5 + SEE_ZIP64} bytes from byte 0 on, found the directory"
    yield Case("zip64_sizes_missing", archive([missing]), "Room", 0, needed)
    cut = archive([missing._replace(entry_extra=zip64_extra(len(PLAIN)))])
    at = len(cut) - END_BYTES - 8
    yield Case("zip64_sizes_cut", cut, "Truncated", at, "expected 8 bytes of the zip64 extra field at byte")
    for name, size in {"1_eib": 1 << 60, "16_eib": (1 << 64) - 1}.items():
        content = archive([missing._replace(entry_extra=zip64_extra(size, size))])
        yield Case(f"zip64_stored_size_of_{name}", content, "Room", 0, "found the directory at byte")
    deflated_lie = B.says(plain=SEE_ZIP64)._replace(entry_extra=zip64_extra((1 << 64) - 1))
    at = LOCAL_BYTES + len(b"b.npy") + len(B.data)
    bomb = "found 18446744073709551615 stated at byte"
    yield Case("zip64_bomb_of_16_eib", archive([deflated_lie]), "PlainSize", at, bomb)
    away = A._replace(header_offset=SEE_ZIP64, entry_extra=zip64_extra((1 << 64) - 1))
    at = LOCAL_BYTES + len(b"a.npy") + len(PLAIN)
    elsewhere = "expected its local header before the directory, found byte 18446744073709551615"
    yield Case("zip64_offset_of_16_eib", archive([away]), "HeaderOffset", at, elsewhere)


def wide(wide_end: bytes, narrow: End | None = None, locator: bytes | None = None) -> bytes:
    """The pair with a zip64 end."""
    narrow = narrow or End(0xFFFF, SEE_ZIP64, SEE_ZIP64)
    locator = locator or locator_record(END)
    return BODY + DIRECTORY + wide_end + locator + end_record(narrow)


def zip64_ends() -> Iterator[Case]:
    """Ends of 64 bits."""
    sound = wide_end_record(2, len(DIRECTORY), len(BODY))
    locator, end = END + WIDE_END_BYTES, END + WIDE_END_BYTES + LOCATOR_BYTES
    record = r"expected the zip64 end record, 'PK\x06\x06'"
    yield Case("zip64_end_of_another_kind", wide(b"X" + sound[1:]), "Signature", END, record)
    elsewhere = wide(sound, locator=locator_record(END + 1))
    place = f"expected the offset of the zip64 end record to be {END}, found {END + 1}"
    yield Case("zip64_end_elsewhere", elsewhere, "Disagreement", locator + 8, place)
    alone = locator_record(0) + end_record(End(0, 0, 0))
    cut = "expected 56 bytes of the zip64 end record at byte 0, found 0"
    yield Case("zip64_end_missing", alone, "Truncated", 0, cut)
    narrow = {
        "counts": (End(257, SEE_ZIP64, SEE_ZIP64), "the number of members to be 2, found 257"),
        "sizes": (End(2, 7, SEE_ZIP64), f"the size of the directory to be {len(DIRECTORY)}, found 7"),
        "offsets": (End(2, SEE_ZIP64, 0), f"the offset of the directory to be {len(BODY)}, found 0"),
    }
    for name, (stated, message) in narrow.items():
        yield Case(f"zip64_two_{name}", wide(sound, stated), "Disagreement", end, message)
    many = wide(wide_end_record((1 << 64) - 1, len(DIRECTORY), len(BODY)))
    count = "expected at most 2 members, found 18446744073709551615"
    yield Case("zip64_count_of_2_to_the_64", many, "MemberCount", END, count)
    large = wide(wide_end_record(2, (1 << 64) - 1, len(BODY)))
    size = f"expected a directory of at most {END} bytes"
    yield Case("zip64_directory_of_16_eib", large, "DirectorySize", END, size)
    far = wide(wide_end_record(2, len(DIRECTORY), (1 << 64) - 1))
    offset = f"the offset of the directory to be {len(BODY)}, found 18446744073709551615"
    yield Case("zip64_directory_misplaced", far, "Disagreement", END, offset)
    disks = wide(wide_end_record(2, len(DIRECTORY), len(BODY), disk=3))
    yield Case("zip64_of_several_disks", disks, "ManyDisks", END, "that it is one of several parts")


def names() -> Iterator[Case]:
    """Names that lead elsewhere, or that two readers see differently."""
    climbs, backslash = "that does not climb out of the archive", "without a backslash"
    refused = {
        "up": (b"../evil.npy", climbs),
        "up_in_the_middle": (b"a/../../evil.npy", climbs),
        "up_at_the_end": (b"a/..", climbs),
        "only_up": (b"..", climbs),
        "absolute": (b"/etc/cron.d/evil.npy", "that is no absolute path"),
        "up_on_windows": (b"..\\evil.npy", backslash),
        "drive": (b"C:\\evil.npy", backslash),
        "nul": (b"a.npy\0.exe", "without a NUL"),
        "empty": (b"", "of at least one letter"),
    }
    for name, (letters, message) in refused.items():
        member = stored(letters, PLAIN)
        at = LOCAL_BYTES + len(letters) + len(PLAIN) + ENTRY_BYTES
        yield Case(f"name_{name}", archive([member]), "Name", at, message)
    latin1 = stored(b"gr\xf6sse.npy", PLAIN).says(flags=UTF8)
    at = archive([latin1]).rindex(b"\xf6")
    yield Case("name_not_utf8", archive([latin1]), "Name", at, "in UTF-8, as its flags say")
    yield twice("name_twice", b"a.npy")
    yield twice("name_twice_but_for_npy", b"a")


def twice(case: str, name: bytes) -> Case:
    """`a.npy`, and another member that `numpy.load` would know by the same key."""
    other = stored(name, PLAIN)
    body, _ = body_and_directory([A, other])
    at = len(body) + ENTRY_BYTES + len(b"a.npy")
    message = f"expected each member once, found '{name.decode()}' at byte {at}"
    return Case(case, archive([A, other]), "Repeated", at, message)


def places() -> Iterator[Case]:
    """Members that lie in each other, in the directory, or outside the file."""
    yield Case(
        "overlap_of_two_at_one_place",
        archive([A, B._replace(header_offset=0)]),
        "Room",
        0,
        "found member 'b.npy' at byte 0",
    )
    inside = B._replace(header_offset=40)
    yield Case(
        "overlap_of_one_inside_another", archive([A, inside]), "Room", 0, "found member 'b.npy' at byte 40"
    )
    over = len(PLAIN) + 10
    longer = A.says(compressed=over, plain=over)
    message = (
        f"expected {LOCAL_BYTES + 5 + over} bytes from byte 0 on, found member 'b.npy' at byte {B_START}"
    )
    yield Case("overlap_by_ten_bytes", archive([longer, B]), "Room", 0, message)
    # Many names for one kernel of deflated data, each a bomb: what made 281 TB out of 10 MB.
    kernel = deflated_zeros(b"0000.npy", 500)
    bomb = [kernel] + [
        kernel._replace(name=b"%04d.npy" % number, data=b"", header_offset=0) for number in range(1, 50)
    ]
    shared = "from byte 0 on, found member '0001.npy' at byte 0"
    yield Case("overlap_of_fifty_bombs", local_alone(bomb), "Room", 0, shared)
    into = len(PLAIN) + 1
    message = f"found the directory at byte {B_START}"
    yield Case("data_into_the_directory", archive([A.says(compressed=into, plain=into)]), "Room", 0, message)
    far = A.says(compressed=0x7FFFFFFF, plain=0x7FFFFFFF)
    yield Case("data_beyond_the_file", archive([far]), "Room", 0, message)
    for name, offset in {"beyond_the_file": 1 << 30, "in_the_directory": B_START + 4}.items():
        content = archive([A._replace(header_offset=offset)])
        message = f"expected its local header before the directory, found byte {offset}"
        yield Case(f"local_header_{name}", content, "HeaderOffset", B_START, message)
    off = archive([A._replace(header_offset=1)])
    yield Case("local_header_off_by_one", off, "Room", 1, "found the directory at byte")
    pushed = A._replace(local_extra=struct.pack("<HH30x", 9, 30), data=PLAIN[:-34])
    at = LOCAL_BYTES + 5 + 34
    yield Case("data_pushed_into_the_directory", archive([pushed]), "Room", at, "bytes from byte 69 on")


def local_alone(members: list[Member]) -> bytes:
    """An archive of which only the first member has a local header and data."""
    body, directory = body_and_directory(members[:1])[0], body_and_directory(members)[1]
    return body + directory + end_record(End(len(members), len(directory), len(body)))


def local_headers() -> Iterator[Case]:
    """Local headers that say something else than the directory."""
    lies = {
        "crc": (A.says_locally(crc=1), 14, "expected the CRC that the directory states"),
        "compressed_size": (
            A.says_locally(compressed=1),
            18,
            "the compressed size that the directory states",
        ),
        "plain_size": (B.says_locally(plain=1), 22, "the plain size that the directory states"),
        "plain_size_of_0": (A.says_locally(plain=0), 22, "the plain size that the directory states"),
        "method": (B.says_locally(method=0), 8, "the method that the directory states, deflate, at byte 8"),
        "encryption": (A.says_locally(flags=ENCRYPTED), 6, "the encryption that the directory states, none"),
        "name": (
            A._replace(local_name=b"b.npy"),
            LOCAL_BYTES,
            "the name that the directory states, 'a.npy', at byte 30, found 'b.npy'",
        ),
    }
    for name, (member, at, message) in lies.items():
        yield Case(f"local_lie_about_{name}", archive([member]), "Contradiction", at, message)
    none = changed(archive([A]), 0, b"PK\x07\x08")
    yield Case(
        "local_header_missing", none, "Signature", 0, r"expected a local header, 'PK\x03\x04', at byte 0"
    )


def methods() -> Iterator[Case]:
    """Members that NumPy cannot have written, and that are not read here."""
    encrypted = "member 'b.npy': expected plain bytes, found it encrypted"
    for name, flags in {"": 1 << 0, "_strongly": 1 << 0 | 1 << 6, "_with_hidden_header": 1 << 13}.items():
        case = archive([B.says(flags=flags)])
        yield Case(f"encrypted{name}", case, "Encrypted", len(BODY) - B_START, encrypted)
    aes = archive([B.says(flags=ENCRYPTED, method=99)])
    yield Case("encrypted_by_aes", aes, "Encrypted", len(BODY) - B_START, encrypted)
    unnamed = {"shrink": 1, "implode": 6}
    numbers = {"deflate64": 9, "bzip2": 12, "lzma": 14, "zstd": 93, "xz": 95}
    for name, number in {**unnamed, **numbers}.items():
        named = f"method {number}" if name in unnamed else name
        message = f"member 'b.npy': expected it stored or deflated, found {named}"
        content = archive([B.says(method=number)])
        yield Case(f"method_{name}", content, "Method", len(BODY) - B_START, message)


def bombs() -> Iterator[Case]:
    """Small files that would take much memory if they could."""
    zeros = deflated_zeros(b"x.npy", 2_000)
    at = LOCAL_BYTES + len(b"x.npy") + len(zeros.data)
    over = archive([zeros.says(plain=MOST_TIMES * len(zeros.data) + 1)])
    yield Case("bomb_of_more_than_can_be", over, "PlainSize", at, "at most 1032 times as many")
    four = archive([zeros.says(plain=SEE_ZIP64 - 1)])
    yield Case("bomb_of_4_gib", four, "PlainSize", at, "found 4294967294 stated at byte")
    most = zeros.says(plain=MOST_TIMES * len(zeros.data))
    real = zeros.entry.plain
    message = f"expected {most.entry.plain} inflated bytes, found {real}"
    yield Case("bomb_of_as_much_as_can_be", archive([most]), "InflatedSize", 0, message)
    hidden = archive([zeros.says(plain=200)])
    yield Case(
        "bomb_that_says_200_bytes", hidden, "InflatedSize", 0, "expected 200 inflated bytes, found more"
    )
    yield Case("bomb_of_zeros", archive([zeros]), "Magic", 0, r"found '\x00\x00\x00\x00\x00\x00'")
    stored_lie = archive([A.says(plain=1 << 31)])
    yield Case("bomb_of_stored_bytes", stored_lie, "PlainSize", B_START, "as many bytes from 140 (stored)")
    inner = archive([deflated_zeros(b"0.npy", 500)])
    nested = archive([deflated(b"%d.npy" % number, inner) for number in range(3)])
    yield Case("bomb_of_archives_in_an_archive", nested, "Magic", 0, "(a zip archive; an .npz file?)")
    brackets = stored(b"x.npy", header(b"{'descr': " + b"(" * 2_000))
    yield Case("bomb_of_brackets", archive([brackets]), "TooDeep", 51, "expected at most 32 brackets")


def damaged() -> Iterator[Case]:
    """Members whose bytes are not those that were written."""
    crc = "expected CRC-32"
    yield Case("crc_of_deflated", archive([B.says(crc=B.entry.crc ^ 1)]), "Crc", 0, crc)
    yield Case("crc_of_stored", archive([A.says(crc=A.entry.crc ^ 1)]), "Crc", 0, crc)
    flipped = B._replace(data=changed(B.data, 140, b"\xff"))
    yield Case("crc_of_a_flipped_bit", archive([A, flipped]), "Crc", B_START, crc)
    bad = "expected deflated data, found bytes that are none"
    yield Case("deflate_damaged", archive([B._replace(data=changed(B.data, 3, b"\xff"))]), "Inflate", 0, bad)
    yield Case("deflate_of_noise", archive([B._replace(data=b"\xff" * len(B.data))]), "Inflate", 0, bad)
    nothing = B.says(compressed=0, plain=0)._replace(data=b"")
    yield Case("deflate_of_nothing", archive([nothing]), "Inflate", 0, bad)
    half = B._replace(data=B.data[:70]).says(compressed=70)
    yield Case("deflate_cut", archive([half]), "Inflate", 0, bad)
    size = len(PLAIN)
    more, less = archive([B.says(plain=size - 1)]), archive([B.says(plain=size + 1)])
    message = f"expected {size - 1} inflated bytes, found more"
    yield Case("deflate_of_more_than_stated", more, "InflatedSize", 0, message)
    message = f"expected {size + 1} inflated bytes, found {size}"
    yield Case("deflate_of_less_than_stated", less, "InflatedSize", 0, message)


def members() -> Iterator[Case]:
    """Sound archives of members that are no arrays, or hostile ones."""
    promise = header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (1000000000000,), }\n")
    wrong = {
        "empty": (b"", "Truncated", 0, "6 bytes of the magic string at byte 0, found 0"),
        "text": (b"1.0,2.0\n", "Magic", 0, "found '1.0,2.'"),
        "cut_in_the_header": (PLAIN[:60], "Truncated", 10, "118 bytes of the header at byte 10, found 50"),
        "cut_in_the_data": (PLAIN[:-1], "DataTruncated", 128, "needs 12 bytes after the header"),
        "of_8_tb": (promise, "DataTruncated", len(promise), "needs 8000000000000 bytes"),
        "with_code": (header(b"{'descr': eval('1')}\n"), "Syntax", 20, "expected a type string"),
        "of_a_pickle": (pickle.dumps([1], protocol=4), "Magic", 0, "(a Python pickle?)"),
        "of_objects": (objects(), "Unsupported", None, "the file is a pickle, which may run code"),
    }
    for name, (plain, error, at, message) in wrong.items():
        for how, make in {"stored": stored, "deflated": deflated}.items():
            yield Case(f"member_{name}_{how}", archive([make(b"x.npy", plain)]), error, at, message)
    second = archive([A, deflated(b"x.npy", b"1.0,2.0\n")])
    yield Case("member_after_a_sound_one", second, "Magic", 0, "found '1.0,2.'")


def objects() -> bytes:
    """An array of Python objects."""
    file = io.BytesIO()
    npy.write_array(file, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return file.getvalue()
