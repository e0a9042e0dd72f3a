"""The records of a zip archive, byte for byte, so that each number in them can lie."""

import struct
import zlib
from typing import NamedTuple

STORED, DEFLATED = 0, 8
UTF8, STREAMED, ENCRYPTED = 1 << 11, 1 << 3, 1 << 0
LOCAL_BYTES, ENTRY_BYTES, END_BYTES = 30, 46, 22
WIDE_END_BYTES, LOCATOR_BYTES = 56, 20
SEE_ZIP64 = 0xFFFFFFFF


class Facts(NamedTuple):
    """What both the directory and the local header say of a member."""

    flags: int
    method: int
    crc: int
    compressed: int
    plain: int


class Member(NamedTuple):
    """A member to be written. `local` is what its local header says, which may differ from its `entry`."""

    name: bytes
    data: bytes
    entry: Facts
    local: Facts
    local_name: bytes
    entry_extra: bytes = b""
    local_extra: bytes = b""
    header_offset: int | None = None  # where the directory says that the local header is, if not where it is

    def says(self, **facts: int) -> "Member":
        """The same member, of which both records say something else."""
        return self._replace(entry=self.entry._replace(**facts), local=self.local._replace(**facts))

    def says_locally(self, **facts: int) -> "Member":
        """The same member, of which only the local header says something else."""
        return self._replace(local=self.local._replace(**facts))


class End(NamedTuple):
    """What the end record says."""

    count: int
    directory_bytes: int
    directory_offset: int
    comment_bytes: int = 0
    disk: int = 0
    count_here: int | None = None


def stored(name: bytes, plain: bytes) -> Member:
    """A member as it is."""
    facts = Facts(0, STORED, zlib.crc32(plain), len(plain), len(plain))
    return Member(name, plain, facts, facts, name)


def deflated(name: bytes, plain: bytes) -> Member:
    """A deflated member, in blocks of bytes as they are: the same bytes whatever zlib is installed."""
    blocks = [plain[start : start + 0xFFFF] for start in range(0, len(plain), 0xFFFF)] or [b""]
    last = len(blocks) - 1
    data = b"".join(
        struct.pack("<BHH", number == last, len(block), len(block) ^ 0xFFFF) + block
        for number, block in enumerate(blocks)
    )
    return of_data(name, plain, data)


def deflated_zeros(name: bytes, repeats: int) -> Member:
    """A deflated member of 1 + 258 `repeats` zeros, 13 bits for each 258 (RFC 1951, fixed codes)."""
    bits = "1" + "10" + "00110000" + ("11000101" + "00000") * repeats + "0000000"
    octets = (bits[start : start + 8].ljust(8, "0")[::-1] for start in range(0, len(bits), 8))
    return of_data(name, bytes(1 + 258 * repeats), bytes(int(octet, 2) for octet in octets))


def of_data(name: bytes, plain: bytes, data: bytes) -> Member:
    """A member of deflated `data` that inflates to `plain`."""
    assert zlib.decompress(data, -zlib.MAX_WBITS) == plain
    facts = Facts(0, DEFLATED, zlib.crc32(plain), len(data), len(plain))
    return Member(name, data, facts, facts, name)


def local_record(member: Member) -> bytes:
    """The local header and the data."""
    numbers = struct.pack("<HHIIII", *member.local[:2], 0, *member.local[2:])
    lengths = struct.pack("<HH", len(member.local_name), len(member.local_extra))
    return b"PK\x03\x04\x14\0" + numbers + lengths + member.local_name + member.local_extra + member.data


def entry_record(member: Member, header_offset: int) -> bytes:
    """The entry of the directory."""
    numbers = struct.pack("<HHIIII", *member.entry[:2], 0, *member.entry[2:])
    lengths = struct.pack("<HHHHHI", len(member.name), len(member.entry_extra), 0, 0, 0, 0)
    place = struct.pack("<I", header_offset if member.header_offset is None else member.header_offset)
    return b"PK\x01\x02\x14\x03\x14\0" + numbers + lengths + place + member.name + member.entry_extra


def body_and_directory(members: list[Member]) -> tuple[bytes, bytes]:
    """What stands before the directory, and the directory."""
    body, directory = b"", b""
    for member in members:
        directory += entry_record(member, len(body))
        body += local_record(member)
    return body, directory


def end_record(end: End) -> bytes:
    """The end of an archive."""
    count_here = end.count if end.count_here is None else end.count_here
    counts = struct.pack("<HHHH", end.disk, end.disk, count_here, end.count)
    place = struct.pack("<IIH", end.directory_bytes, end.directory_offset, end.comment_bytes)
    return b"PK\x05\x06" + counts + place


def archive(members: list[Member], **lies: int) -> bytes:
    """A whole archive, whose end says `lies`."""
    body, directory = body_and_directory(members)
    end = End(len(members), len(directory), len(body))._replace(**lies)
    return body + directory + end_record(end)


def wide_end_record(count: int, directory_bytes: int, directory_offset: int, disk: int = 0) -> bytes:
    """The zip64 end record."""
    numbers = struct.pack("<QHHIIQQQQ", 44, 0, 0, disk, disk, count, count, directory_bytes, directory_offset)
    return b"PK\x06\x06" + numbers


def locator_record(wide_end_offset: int) -> bytes:
    """Where the zip64 end record is."""
    return b"PK\x06\x07" + struct.pack("<IQI", 0, wide_end_offset, 1)


def zip64_extra(*values: int) -> bytes:
    """The extra field that has sizes of 64 bits."""
    return struct.pack(f"<HH{len(values)}Q", 1, 8 * len(values), *values)
