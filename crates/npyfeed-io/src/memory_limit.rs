//! How much memory this process may use: that of the machine, or less where a cgroup (a container, a job of a
//! cluster) allows less.
//!
//! A cgroup's limit binds all groups below it, so every group from our own up to the mount is asked, in both versions
//! of cgroups (`cgroups(7)`, and in the kernel's documentation `cgroup-v2.rst`, `memory.max`, and `v1/memory.rst`,
//! `memory.limit_in_bytes`). How many processors may be used, `std::thread::available_parallelism` knows.

use std::fs;
use std::path::{Path, PathBuf};

/// The smaller of physical memory and every memory limit of the cgroups that this process is in, in bytes.
/// `u64::MAX` where the system does not say.
///
/// ```
/// assert!(npyfeed_io::memory_limit_bytes() > 1 << 20);
/// ```
pub fn memory_limit_bytes() -> u64 {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let groups = Groups { memberships: &read("/proc/self/cgroup"), mounts: &read("/proc/self/mountinfo") };
    let limits =
        groups.limit_files().into_iter().filter_map(|file| limit_in(&fs::read_to_string(file).ok()?));
    limits.chain(physical_bytes(&read("/proc/meminfo"))).min().unwrap_or(u64::MAX)
}

/// `MemTotal` of `/proc/meminfo`, which is in kB of 1024 bytes.
fn physical_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// A number, or `max`. Version 1 writes a number beyond all memory where there is no limit.
fn limit_in(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// What the system says of our cgroups.
struct Groups<'a> {
    /// `/proc/self/cgroup`: `0::/path` (version 2), `4:memory:/path` (version 1).
    memberships: &'a str,
    /// `/proc/self/mountinfo`.
    mounts: &'a str,
}

impl Groups<'_> {
    /// The files that hold the limits of our group and of all above it.
    fn limit_files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for mount in self.mounts.lines().filter_map(Mount::parse) {
            let Some(path) = self.memberships.lines().find_map(|line| mount.version.path_in(line)) else {
                continue;
            };
            // Where the mount shows a group as its root, our path is told from above that group, or is beyond what is
            // seen from here; then the mount itself is the nearest group that can be asked.
            let below = Path::new(path).strip_prefix(mount.root).unwrap_or(Path::new(""));
            let folders = below.ancestors().map(|below| Path::new(mount.point).join(below));
            files.extend(folders.map(|folder| folder.join(mount.version.limit_file())));
        }
        files
    }
}

#[derive(Clone, Copy)]
enum Version {
    One,
    Two,
}

impl Version {
    fn limit_file(self) -> &'static str {
        match self {
            Version::One => "memory.limit_in_bytes",
            Version::Two => "memory.max",
        }
    }

    /// Our group's path, if the line of `/proc/self/cgroup` is that of this version's memory controller.
    fn path_in(self, line: &str) -> Option<&str> {
        let mut parts = line.splitn(3, ':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let is_ours = match self {
            Version::One => controllers.split(',').any(|name| name == "memory"),
            Version::Two => number == "0" && controllers.is_empty(),
        };
        is_ours.then_some(path)
    }
}

/// A mounted hierarchy of cgroups that may limit memory.
struct Mount<'a> {
    version: Version,
    /// The group that is seen at `point`.
    root: &'a str,
    point: &'a str,
}

impl Mount<'_> {
    /// A line of `/proc/self/mountinfo`: fields, a dash, and more of them (`proc_pid_mountinfo(5)`).
    fn parse(line: &str) -> Option<Mount<'_>> {
        let (place, kind) = line.split_once(" - ")?;
        let mut place = place.split(' ').skip(3);
        let (root, point) = (place.next()?, place.next()?);
        let mut kind = kind.split(' ');
        let version = match kind.next()? {
            "cgroup2" => Version::Two,
            "cgroup" if kind.nth(1)?.split(',').any(|option| option == "memory") => Version::One,
            _ => return None,
        };
        Some(Mount { version, root, point })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(memberships: &str, mounts: &str) -> Vec<String> {
        let files = Groups { memberships, mounts }.limit_files();
        files.iter().map(|file| file.display().to_string()).collect()
    }

    #[test]
    fn every_group_up_to_the_mount_is_asked_in_both_versions() {
        let two = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";
        assert_eq!(
            files("0::/user.slice/job", two),
            [
                "/sys/fs/cgroup/user.slice/job/memory.max",
                "/sys/fs/cgroup/user.slice/memory.max",
                "/sys/fs/cgroup/memory.max"
            ]
        );
        let one = "33 25 0:29 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu\n\
                   34 25 0:30 / /sys/fs/cgroup/memory rw shared:10 - cgroup cgroup rw,memory\n";
        assert_eq!(
            files("5:cpu:/other\n4:hugetlb,memory:/job\n0::/", one),
            [
                "/sys/fs/cgroup/memory/job/memory.limit_in_bytes",
                "/sys/fs/cgroup/memory/memory.limit_in_bytes"
            ]
        );
    }

    #[test]
    fn a_container_that_sees_its_own_group_as_the_root_asks_it() {
        let mount = "34 25 0:30 /docker/1f /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let own = ["/sys/fs/cgroup/memory/memory.limit_in_bytes"];
        assert_eq!(files("4:memory:/docker/1f", mount), own);
        assert_eq!(files("4:memory:/", mount), own);
        assert_eq!(files("", ""), [""; 0]);
    }

    #[test]
    fn limits_are_numbers_or_none() {
        assert_eq!(limit_in("536870912\n"), Some(536_870_912));
        assert_eq!(limit_in("max\n"), None);
        assert_eq!(physical_bytes("MemTotal:       24617248 kB\nMemFree: 1 kB\n"), Some(24_617_248 * 1024));
        assert_eq!(physical_bytes(""), None);
    }
}
