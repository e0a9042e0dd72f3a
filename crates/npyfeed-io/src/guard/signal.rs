//! The SIGBUS handler. What it may do, and why that is sound, is proven in `mod.rs`.

use std::io;
use std::mem::MaybeUninit;
use std::ops::Range;
use std::ptr::null_mut;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize};

use libc::{c_int, c_void, sighandler_t, siginfo_t};

use super::REGISTRY;
use super::registry::Watched;

/// Who handled SIGBUS before us. Set before our handler is, and never freed.
static PREVIOUS: AtomicPtr<libc::sigaction> = AtomicPtr::new(null_mut());
static PAGE_BYTES: AtomicUsize = AtomicUsize::new(0);
static IS_INSTALLED: AtomicBool = AtomicBool::new(false);

/// Installs the handler, once.
///
/// Without a lock, since a fork could copy one that is held. Several threads may come here at once: each
/// does the same, and the first to have found a predecessor is the one that is believed.
pub(super) fn install() -> io::Result<()> {
    if IS_INSTALLED.load(SeqCst) {
        return Ok(());
    }
    PAGE_BYTES.store(page_bytes()?, SeqCst);
    let found = exchange_action(None)?;
    if found.sa_sigaction != our_handler() {
        let found = Box::into_raw(Box::new(found));
        if PREVIOUS.compare_exchange(null_mut(), found, SeqCst, SeqCst).is_err() {
            // SAFETY: made by `into_raw` above, and another thread was first, so nobody else has seen it.
            drop(unsafe { Box::from_raw(found) });
        }
    }
    // The thread's alternate stack, if it has one, may be what is left of it. Interrupted system calls go on.
    exchange_action(Some(&action(our_handler(), libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART)))?;
    IS_INSTALLED.store(true, SeqCst);
    Ok(())
}

fn our_handler() -> sighandler_t {
    on_bus_error as *const () as sighandler_t
}

fn page_bytes() -> io::Result<usize> {
    // SAFETY: asks for a number.
    let bytes = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    usize::try_from(bytes).map_err(|_| io::Error::last_os_error())
}

/// The signal's action, and the new one in its place if there is one.
fn exchange_action(new: Option<&libc::sigaction>) -> io::Result<libc::sigaction> {
    let mut old = MaybeUninit::uninit();
    let new = new.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: null or an action, which is copied; and room for one, which the call fills if it succeeds.
    let failed = unsafe { libc::sigaction(libc::SIGBUS, new, old.as_mut_ptr()) };
    if failed != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call has succeeded.
    Ok(unsafe { old.assume_init() })
}

fn action(handler: sighandler_t, flags: c_int) -> libc::sigaction {
    // SAFETY: a struct of integers and of an optional function, for which zeros are valid: no function,
    // no blocked signals.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler;
    action.sa_flags = flags;
    action
}

/// The kernel calls this on the thread that read what is not there, in the middle of anything.
extern "C" fn on_bus_error(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: the address of this thread's `errno`, an integer that is always there.
    let errno = unsafe { &mut *libc::__errno_location() };
    let kept = *errno;
    // SAFETY: `SA_SIGINFO` was asked for, so `info` describes this signal.
    let code = unsafe { (*info).si_code };
    // Only these come with an address, and are cured by a new page. A signal that someone *sent* has a
    // sender there instead, and a code of 0 or less.
    let is_missing_page = matches!(code, libc::BUS_ADRERR | libc::BUS_MCEERR_AR);
    // SAFETY: `info` as above; the code says that it holds an address.
    let is_borne = is_missing_page && replace(unsafe { (*info).si_addr() }.addr());
    if !is_borne {
        // SAFETY: signal, info and context are those of this very call.
        unsafe { pass_on(signal, info, context) };
    }
    *errno = kept;
}

/// Puts zeros where the map that holds `address` has lost its pages. `false` if no map of ours does.
fn replace(address: usize) -> bool {
    let Some((slot, watched)) = REGISTRY.find(address) else { return false };
    slot.mark_damaged();
    let page_bytes = PAGE_BYTES.load(SeqCst);
    let page = address & !(page_bytes - 1);
    let one = page..page.wrapping_add(page_bytes);
    let end = up_to_page(watched.end, page_bytes);
    match file_bytes(&watched) {
        // Everything beyond the file's end is gone. Replaced in one step, it costs one fault, and one entry
        // in the kernel's list of maps, of which a process has 65,530.
        Some(bytes) if bytes <= page.wrapping_sub(watched.start) => {
            map_zeros(up_to_page(watched.start.wrapping_add(bytes), page_bytes)..end) || map_zeros(one)
        }
        // Disk or memory failed here; the rest may be well. If the list of maps is full, give up all.
        Some(_) | None => map_zeros(one) || map_zeros(watched.start..end),
    }
}

/// The first address from `address` on where a page begins.
fn up_to_page(address: usize, page_bytes: usize) -> usize {
    address.wrapping_add(page_bytes - 1) & !(page_bytes - 1)
}

/// The size of the file now.
fn file_bytes(watched: &Watched) -> Option<usize> {
    let mut status = MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `fstat` may be called in a handler; it fills the struct if it succeeds. The descriptor is open
    // while the range is watched; were it not, the call would fail.
    if unsafe { libc::fstat(watched.file, status.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: the call has succeeded.
    usize::try_from(unsafe { status.assume_init() }.st_size).ok()
}

/// Maps zeros over `pages`, which lie in a watched range.
fn map_zeros(pages: Range<usize>) -> bool {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let start = std::ptr::with_exposed_provenance_mut::<c_void>(pages.start);
    // SAFETY: whole pages of a map that is registered, hence alive and private to its `MappedFile`: as
    // readable and writable afterwards as before. Their content was missing. `mmap` is a bare system call
    // on Linux, so a handler may make it.
    let mapped = unsafe { libc::mmap(start, pages.end.wrapping_sub(pages.start), protection, flags, -1, 0) };
    mapped != libc::MAP_FAILED
}

/// Does what would have been done without us.
///
/// # Safety
/// The arguments are those that the kernel gave the handler.
unsafe fn pass_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    // SAFETY: null, or an action that is never freed.
    let previous = unsafe { PREVIOUS.load(SeqCst).as_ref() };
    // SAFETY: `info` describes this signal.
    let code = unsafe { (*info).si_code };
    // By someone's `kill`, or by the kernel to say that memory broke which nobody has read yet.
    let is_sent = code <= 0 || code == libc::BUS_MCEERR_AO;
    let handler = previous.map_or(libc::SIG_DFL, |previous| previous.sa_sigaction);
    match handler {
        // A fault cannot be ignored: the kernel, too, ends the process then.
        libc::SIG_IGN if is_sent => {}
        libc::SIG_DFL | libc::SIG_IGN => end_as_without_us(signal, is_sent),
        handler if previous.is_some_and(|previous| previous.sa_flags & libc::SA_SIGINFO != 0) => {
            // SAFETY: with this flag, the address is that of a function with this signature.
            let handler: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                unsafe { std::mem::transmute(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: without the flag, the address is that of a function with this signature.
            let handler: extern "C" fn(c_int) = unsafe { std::mem::transmute(handler) };
            handler(signal);
        }
    }
}

/// Restores the default action. The instruction that faulted runs again and ends the process, with a core
/// file that shows it; a signal that was sent has no such instruction and is sent again.
fn end_as_without_us(signal: c_int, is_sent: bool) {
    // Cannot fail: the signal and the action are valid.
    let _ = exchange_action(Some(&action(libc::SIG_DFL, 0)));
    if is_sent {
        // SAFETY: `raise` may be called in a handler. The signal is blocked until the handler returns.
        unsafe { libc::raise(signal) };
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::process::ExitStatusExt;
    use std::process::{Command, ExitStatus};

    use memmap2::{MmapOptions, MmapRaw};

    use super::*;
    use crate::{MappedFile, Mode, RegularFile, Source};

    /// Runs one of the deeds below in a process of its own, since some are not survived.
    fn outcome_of(deed: &str) -> ExitStatus {
        let name = format!("guard::signal::tests::deed_{deed}");
        let child =
            Command::new(std::env::current_exe().unwrap()).args(["--exact", &name, "--ignored"]).output();
        child.unwrap().status
    }

    fn file_of_ones(folder: &tempfile::TempDir, name: &str) -> (File, MappedFile) {
        let path = folder.path().join(name);
        std::fs::write(&path, vec![1; 1 << 20]).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        (file, MappedFile::new(RegularFile::open(&path, Mode::CopyOnWrite).unwrap()).unwrap())
    }

    /// A map that nobody watches, of a file that is cut short.
    fn read_a_foreign_lost_page() -> u8 {
        let folder = tempfile::tempdir().unwrap();
        let (file, _watched) = file_of_ones(&folder, "foreign");
        // SAFETY: nobody writes to it.
        let foreign = MmapRaw::from(unsafe { MmapOptions::new().map_copy(&file) }.unwrap());
        file.set_len(0).unwrap();
        // SAFETY: a byte of the map.
        unsafe { foreign.as_ptr().read_volatile() }
    }

    fn read_our_lost_page() -> u8 {
        let folder = tempfile::tempdir().unwrap();
        let (file, watched) = file_of_ones(&folder, "ours");
        file.set_len(0).unwrap();
        let byte = watched.bytes()[5000];
        watched.check().unwrap_err();
        byte
    }

    extern "C" fn exit_42(_signal: c_int) {
        // SAFETY: ends the process at once.
        unsafe { libc::_exit(42) }
    }

    #[test]
    fn a_fault_in_anyone_elses_map_ends_the_process_as_before() {
        assert_eq!(outcome_of("foreign_fault").signal(), Some(libc::SIGBUS));
    }

    #[test]
    #[ignore = "ends its process; run by the test above"]
    fn deed_foreign_fault() {
        assert_eq!(read_our_lost_page(), 0);
        read_a_foreign_lost_page();
    }

    #[test]
    fn a_handler_that_was_there_gets_what_is_not_ours_and_only_that() {
        assert_eq!(outcome_of("handled_before").code(), Some(42));
    }

    #[test]
    #[ignore = "ends its process; run by the test above"]
    fn deed_handled_before() {
        exchange_action(Some(&action(exit_42 as *const () as sighandler_t, 0))).unwrap();
        assert_eq!(read_our_lost_page(), 0);
        read_a_foreign_lost_page();
    }

    #[test]
    fn a_signal_that_was_sent_ends_the_process_as_before() {
        assert_eq!(outcome_of("sent").signal(), Some(libc::SIGBUS));
    }

    #[test]
    #[ignore = "ends its process; run by the test above"]
    fn deed_sent() {
        exchange_action(Some(&action(libc::SIG_DFL, 0))).unwrap();
        assert_eq!(read_our_lost_page(), 0);
        // SAFETY: sends a signal.
        unsafe { libc::raise(libc::SIGBUS) };
    }

    #[test]
    fn an_ignored_signal_is_still_ignored_when_it_is_sent_and_a_fault_is_not() {
        assert_eq!(outcome_of("ignored").signal(), Some(libc::SIGBUS));
    }

    #[test]
    #[ignore = "ends its process; run by the test above"]
    fn deed_ignored() {
        exchange_action(Some(&action(libc::SIG_IGN, 0))).unwrap();
        assert_eq!(read_our_lost_page(), 0);
        // SAFETY: sends a signal.
        unsafe { libc::raise(libc::SIGBUS) };
        assert_eq!(read_our_lost_page(), 0);
        read_a_foreign_lost_page();
    }

    #[test]
    fn a_forked_child_bears_the_loss_too() {
        let folder = tempfile::tempdir().unwrap();
        let (file, watched) = file_of_ones(&folder, "forked");
        // SAFETY: the child reads memory, makes one system call and leaves.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let is_cut = file.set_len(0).is_ok();
            let code = c_int::from(!(is_cut && watched.bytes()[5000] == 0 && watched.check().is_err()));
            // SAFETY: ends the child at once.
            unsafe { libc::_exit(code) }
        }
        let mut status = -1;
        // SAFETY: waits for the child and fills the integer.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        assert_eq!(status, 0);
    }
}
