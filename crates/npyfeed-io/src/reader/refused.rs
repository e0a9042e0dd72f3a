//! Why `io_uring` cannot be used here.

/// A sentence that says why, for a log or a report: the next way to the bytes is taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Refused {
    pub(super) reason: String,
}

#[cfg(target_os = "linux")]
impl Refused {
    /// What an error of setting up a ring means.
    pub(super) fn because(why: &std::io::Error) -> Refused {
        let reason = match why.raw_os_error() {
            Some(libc::ENOSYS) => "this kernel, or the sandbox in its place, has no io_uring".to_owned(),
            Some(libc::EPERM | libc::EACCES) => {
                let setting =
                    std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
                match setting.trim() {
                    "" | "0" => {
                        "io_uring is forbidden here, by a seccomp filter as containers have".to_owned()
                    }
                    number => format!("io_uring is switched off: kernel.io_uring_disabled is {number}"),
                }
            }
            Some(libc::ENOMEM) => format!("io_uring may not have as much locked memory (ulimit -l): {why}"),
            Some(libc::EMFILE | libc::ENFILE) => {
                format!("io_uring needs an open file more (ulimit -n): {why}")
            }
            Some(_) | None => format!("io_uring cannot be set up: {why}"),
        };
        Refused { reason }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_can_be_done_about_it() {
        let said = |code| Refused::because(&std::io::Error::from_raw_os_error(code)).to_string();
        assert!(said(libc::ENOSYS).contains("no io_uring"));
        assert!(said(libc::EPERM).contains("seccomp") || said(libc::EPERM).contains("switched off"));
        assert!(said(libc::ENOMEM).contains("ulimit -l"));
        assert!(said(libc::EMFILE).contains("ulimit -n"));
        assert!(said(libc::EINVAL).contains("cannot be set up"));
    }
}
