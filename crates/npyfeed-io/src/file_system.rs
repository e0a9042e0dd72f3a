//! Which file system a file lies on, as far as the way to read it depends on that.

use std::fs::File;

/// Where a file system keeps its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reach {
    /// On a disk of this machine, or in its memory, or unknown.
    Local,
    /// Behind a network, or behind a process that may ask one (FUSE): a read waits long, and many at once wait no
    /// longer than one.
    Network,
}

/// A kind of file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileSystem {
    /// Its name as `mount` writes it, as `"ext4"`; `"unknown"` if it is not in our table.
    pub name: &'static str,
    /// Where it keeps its bytes.
    pub reach: Reach,
}

const UNKNOWN: FileSystem = FileSystem { name: "unknown", reach: Reach::Local };

/// The numbers are those of `<linux/magic.h>` and of statfs(2).
#[cfg(any(target_os = "linux", test))]
const TABLE: &[(u64, &str, Reach)] = &[
    // ext2 and ext3 have the same number, and are read by the same code.
    (0xef53, "ext4", Reach::Local),
    (0x5846_5342, "xfs", Reach::Local),
    (0x9123_683e, "btrfs", Reach::Local),
    (0x2fc1_2fc1, "zfs", Reach::Local),
    (0xf2f5_2010, "f2fs", Reach::Local),
    (0xca45_1a4e, "bcachefs", Reach::Local),
    (0x794c_7630, "overlay", Reach::Local),
    (0x0102_1994, "tmpfs", Reach::Local),
    (0x8584_58f6, "ramfs", Reach::Local),
    (0x9584_58f6, "hugetlbfs", Reach::Local),
    (0x7371_7368, "squashfs", Reach::Local),
    (0xe0f5_e1e2, "erofs", Reach::Local),
    (0x7366_746e, "ntfs3", Reach::Local),
    (0x2011_bab0, "exfat", Reach::Local),
    (0x4d44, "vfat", Reach::Local),
    (0x9660, "iso9660", Reach::Local),
    (0x6969, "nfs", Reach::Network),
    (0xff53_4d42, "cifs", Reach::Network),
    (0xfe53_4d42, "smb2", Reach::Network),
    (0x517b, "smbfs", Reach::Network),
    (0x00c3_6400, "ceph", Reach::Network),
    (0x0bd0_0bd0, "lustre", Reach::Network),
    (0x4750_4653, "gpfs", Reach::Network),
    (0x1983_0326, "beegfs", Reach::Network),
    (0x2003_0528, "orangefs", Reach::Network),
    (0x5346_414f, "afs", Reach::Network),
    (0x0102_1997, "9p", Reach::Network),
    (0x6573_5546, "fuse", Reach::Network),
];

impl FileSystem {
    /// The file system of an open file, by statfs(2).
    #[cfg(target_os = "linux")]
    pub(crate) fn of(file: &File) -> FileSystem {
        #[expect(
            clippy::cast_sign_loss,
            clippy::cast_possible_truncation,
            clippy::cast_lossless,
            reason = "a number of 32 bits, in a field whose type differs between systems"
        )]
        rustix::fs::fstatfs(file).map_or(UNKNOWN, |found| FileSystem::numbered(found.f_type as u32 as u64))
    }

    /// Elsewhere the numbers are others, and nobody has written them down yet.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn of(_: &File) -> FileSystem {
        UNKNOWN
    }

    #[cfg(any(target_os = "linux", test))]
    fn numbered(magic: u64) -> FileSystem {
        let row = TABLE.iter().find(|row| row.0 == magic);
        row.map_or(UNKNOWN, |&(_, name, reach)| FileSystem { name, reach })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_one_file_system() {
        for (place, row) in TABLE.iter().enumerate() {
            assert!(TABLE[..place].iter().all(|other| other.0 != row.0 && other.1 != row.1), "{}", row.1);
        }
        assert_eq!(FileSystem::numbered(0x6969), FileSystem { name: "nfs", reach: Reach::Network });
        assert_eq!(FileSystem::numbered(1), UNKNOWN);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn shared_memory_is_a_tmpfs() {
        let Ok(file) = tempfile::tempfile_in("/dev/shm") else {
            return eprintln!("not run: /dev/shm cannot be written here");
        };
        let expected = std::fs::read_to_string("/proc/mounts").unwrap();
        let shm = expected.lines().find(|line| line.split(' ').nth(1) == Some("/dev/shm"));
        let expected = shm.map(|line| line.split(' ').nth(2).unwrap().to_owned());
        assert_eq!(expected.unwrap_or("tmpfs".to_owned()), FileSystem::of(&file).name);
    }
}
