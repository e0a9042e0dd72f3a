//! 8: a child goes on with its copy of a reader, and its parent is not disturbed.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use npyfeed_io::ReadFile;
use npyfeed_io::reader::{Reader, Request};

use crate::ground::{folders, open, pattern, range, readers, write};

/// So long may a child take; one that hangs is ended by SIGALRM.
const CHILD_SECONDS: u32 = 60;

/// Ends the child with 0 if `act` returns.
fn in_child(act: impl FnOnce()) -> libc::pid_t {
    // SAFETY: of the child's threads there is only this one. It reads files and allocates, which the C library keeps
    // in order across a fork, and leaves by `_exit`, so that nothing of the parent's is run twice.
    let process = unsafe { libc::fork() };
    if process != 0 {
        assert!(process > 0, "{}", std::io::Error::last_os_error());
        return process;
    }
    // SAFETY: as above.
    unsafe { libc::alarm(CHILD_SECONDS) };
    let outcome = catch_unwind(AssertUnwindSafe(act));
    // SAFETY: ends this process.
    unsafe { libc::_exit(outcome.is_err().into()) }
}

fn wait_for(process: libc::pid_t) {
    let mut status = 0;
    // SAFETY: waits for a child of ours, which nobody else waits for.
    assert_eq!(unsafe { libc::waitpid(process, &raw mut status, 0) }, process);
    assert_eq!(status, 0, "the child ended with wait status {status}");
}

fn fill(reader: &mut dyn Reader, file: &Arc<ReadFile>) {
    while reader.has_room() {
        let start = reader.in_flight() * 1000;
        reader.submit(Request { tag: start as u64, place: range(file, start..start + 100_000) });
    }
}

/// Takes what is underway; gives how many there were.
fn drain(reader: &mut dyn Reader, expected: &[u8]) -> usize {
    let mut count = 0;
    while let Some(arrival) = reader.next() {
        let start = usize::try_from(arrival.tag).unwrap();
        assert!(arrival.bytes.unwrap() == &expected[start..start + 100_000]);
        count += 1;
    }
    count
}

#[test]
fn a_child_goes_on_where_its_parent_stood_and_so_does_the_parent() {
    for folder in folders() {
        let path = folder.path().join("file");
        let expected = pattern(1_000_000);
        write(&path, &expected);
        let file = open(&path);
        for mut reader in readers() {
            fill(reader.as_mut(), &file);
            let underway = reader.in_flight();
            reader.next().unwrap().bytes.unwrap();
            let child = in_child(|| {
                assert_eq!(drain(reader.as_mut(), &expected), underway - 1);
                fill(reader.as_mut(), &file);
                assert_eq!(drain(reader.as_mut(), &expected), underway);
                fill(reader.as_mut(), &file);
                drop(reader);
            });
            wait_for(child);
        }
    }
}

#[test]
fn a_parent_goes_on_while_its_child_lives_and_drops() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let path = folder.path().join("file");
    let expected = pattern(1_000_000);
    write(&path, &expected);
    let file = open(&path);
    for reader in readers() {
        let mut reader = Some(reader);
        let parents = reader.as_mut().unwrap();
        fill(parents.as_mut(), &file);
        let underway = parents.in_flight();
        let child = in_child(|| drop(reader.take()));
        let parents = reader.as_mut().unwrap();
        assert_eq!(drain(parents.as_mut(), &expected), underway);
        fill(parents.as_mut(), &file);
        drop(reader);
        wait_for(child);
    }
}
