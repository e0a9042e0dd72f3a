//! A ring and the buffers that the system reads into.
//!
//! # Proof
//!
//! 1. **Nobody looks at a buffer that the system writes to.** A slot counts what is outstanding for it, up when an
//!    entry is pushed and down when its completion is seen, and its bytes are lent only at zero. `&mut self` pushes,
//!    `&self` lends.
//! 2. **What an entry points to outlives it.** Buffer, path and open file belong to the slot, and are replaced only at
//!    zero. The buffers are never moved: they are a map.
//! 3. **The buffers outlive the reads.** `drop` waits until nothing is outstanding. Where it cannot know, since the
//!    ring broke, or may not ask, since this process is a fork of the ring's, ring, buffers and slots are leaked.
//! 4. **A fork has its own.** The ring belongs to the process that made it ([`Ring::is_lost`]); the child's copy of the
//!    buffers is not written to by the system, and the child neither enters nor unmaps the ring.

use std::ffi::CString;
use std::io;
use std::mem::ManuallyDrop;
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use io_uring::squeue::{Entry, Flags};
use io_uring::{IoUring, opcode, types};
use memmap2::{Advice, MmapMut, MmapRaw};

use super::Refused;
use crate::ReadFile;
use crate::read_file::BLOCK_BYTES;

/// One entry each is enough for what reads a range; a whole file takes three.
const ENTRIES_PER_SLOT: u32 = 3;
/// As many files are opened at once by the kernel's own threads, when a path is not in its cache.
const OPENERS: u32 = 32;
/// So often a kernel without memory is asked again before the ring counts as broken.
const MAX_RETRIES: usize = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Read,
    Open,
    Close,
}

/// An entry that the system is done with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    pub(super) slot: u16,
    pub(super) step: Step,
    /// Bytes read, or minus an error's number.
    pub(super) result: i32,
    /// Whether nothing else is outstanding for the slot.
    pub(super) is_last: bool,
}

/// Which descriptor of a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Through {
    PageCache,
    Disk,
}

/// A file, as the system numbers it for an entry.
#[derive(Debug, Clone, Copy)]
enum Descriptor {
    /// As everywhere.
    System(RawFd),
    /// In the ring's own table, at the slot's place.
    OfSlot,
}

pub(super) struct Ring {
    queues: ManuallyDrop<IoUring>,
    buffers: ManuallyDrop<MmapRaw>,
    slots: ManuallyDrop<Vec<Slot>>,
    slot_bytes: usize,
    buffering: Buffering,
    opening: Opening,
    outstanding: usize,
    /// Pushed and not yet told to the system.
    unsubmitted: usize,
    process: u32,
    is_broken: bool,
}

/// What an entry points to, and how many entries of it are outstanding.
#[derive(Default)]
struct Slot {
    outstanding: u8,
    target: Target,
}

/// What is kept alive, and open, while it is read.
#[derive(Default)]
enum Target {
    #[default]
    None,
    File {
        _open: Arc<ReadFile>,
    },
    Path {
        _text: CString,
    },
}

/// Whether the system knows the buffers beforehand, which saves it looking up their pages at each read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Buffering {
    Registered,
    /// More memory would have to be locked than this user may.
    LookedUp,
}

/// Whether the ring opens, reads and closes files by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opening {
    Linked,
    /// The kernel is older than 5.17.
    Unlinked,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring")
            .field("depth", &self.slots.len())
            .field("slot_bytes", &self.slot_bytes)
            .field("buffering", &self.buffering)
            .field("opening", &self.opening)
            .field("outstanding", &self.outstanding)
            .finish_non_exhaustive()
    }
}

impl Ring {
    pub(super) fn new(depth: u16, slot_bytes: usize) -> Result<Ring, Refused> {
        Ring::set_up(depth, slot_bytes).map_err(|why| Refused::because(&why))
    }

    fn set_up(depth: u16, slot_bytes: usize) -> io::Result<Ring> {
        debug_assert!(slot_bytes.is_multiple_of(BLOCK_BYTES));
        let entries = u32::from(depth) * ENTRIES_PER_SLOT;
        // Completions are seen to when we wait, and need not interrupt us. Linux 5.19 knows that.
        let cooperative = IoUring::builder().setup_coop_taskrun().build(entries);
        let ring = match cooperative {
            Err(why) if why.raw_os_error() == Some(libc::EINVAL) => IoUring::new(entries)?,
            Err(why) => return Err(why),
            Ok(ring) => ring,
        };
        let buffers = MmapMut::map_anon(slot_bytes * usize::from(depth))?;
        // A wish: fewer pages to pin and to look up.
        let _granted = buffers.advise(Advice::HugePage);
        let buffers = MmapRaw::from(buffers);
        let buffering = register(&ring, &buffers);
        let opening = prepare_opening(&ring, depth);
        Ok(Ring {
            queues: ManuallyDrop::new(ring),
            buffers: ManuallyDrop::new(buffers),
            slots: ManuallyDrop::new((0..depth).map(|_| Slot::default()).collect()),
            slot_bytes,
            buffering,
            opening,
            outstanding: 0,
            unsubmitted: 0,
            process: std::process::id(),
            is_broken: false,
        })
    }

    /// Whether the ring may not be used any more: it broke, or is another process's.
    pub(super) fn is_lost(&self) -> bool {
        self.is_broken || self.process != std::process::id()
    }

    pub(super) fn unsubmitted(&self) -> usize {
        self.unsubmitted
    }

    pub(super) fn opens_files(&self) -> bool {
        self.opening == Opening::Linked
    }

    /// Reads `len_bytes` of `file` from `offset` on into the slot's buffer.
    pub(super) fn push_read(
        &mut self,
        slot: u16,
        file: &Arc<ReadFile>,
        through: Through,
        window: Range<u64>,
    ) {
        let descriptor = match (through, file.direct()) {
            (Through::Disk, Ok(direct)) => direct.file.as_raw_fd(),
            (Through::Disk | Through::PageCache, _) => file.file().as_raw_fd(),
        };
        #[expect(clippy::cast_possible_truncation, reason = "no more than a buffer: asserted below")]
        let len_bytes = (window.end - window.start) as usize;
        let entry = self.read(slot, Descriptor::System(descriptor), len_bytes, window.start);
        self.hold(slot, Target::File { _open: Arc::clone(file) });
        self.push(slot, &[entry.user_data(ticket(slot, Step::Read))]);
    }

    /// Opens the file at `path`, reads up to `len_bytes` of it into the slot's buffer, and closes it.
    pub(super) fn push_whole(&mut self, slot: u16, path: CString, len_bytes: usize) {
        debug_assert!(self.opens_files());
        // Nobody else uses the number: the ring has a table of files of its own, with a place for each slot.
        let place =
            types::DestinationSlot::try_from_slot_target(slot.into()).expect("a slot is a small number");
        // The text of a path stays where it is when its owner is moved.
        let address = path.as_ptr();
        self.hold(slot, Target::Path { _text: path });
        // Opening a pipe waits for its writer otherwise; reading one is refused later.
        let open = opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), address)
            .file_index(Some(place))
            .flags(libc::O_RDONLY | libc::O_NONBLOCK)
            .build()
            .flags(Flags::IO_LINK)
            .user_data(ticket(slot, Step::Open));
        // A hard link: a file that ends early, as they all do, or cannot be read, is closed all the same.
        let read = self.read(slot, Descriptor::OfSlot, len_bytes, 0);
        let read = read.flags(Flags::IO_HARDLINK).user_data(ticket(slot, Step::Read));
        let close =
            opcode::Close::new(types::Fixed(slot.into())).build().user_data(ticket(slot, Step::Close));
        self.push(slot, &[open, read, close]);
    }

    fn read(&self, slot: u16, file: Descriptor, len_bytes: usize, offset: u64) -> Entry {
        assert!(len_bytes <= self.slot_bytes, "expected a read of at most {} bytes", self.slot_bytes);
        let to = self.buffers.as_mut_ptr().wrapping_add(usize::from(slot) * self.slot_bytes);
        let len = u32::try_from(len_bytes).expect("a buffer is smaller than 4 GiB");
        match (file, self.buffering) {
            (Descriptor::System(fd), Buffering::Registered) => {
                opcode::ReadFixed::new(types::Fd(fd), to, len, 0).offset(offset).build()
            }
            (Descriptor::System(fd), Buffering::LookedUp) => {
                opcode::Read::new(types::Fd(fd), to, len).offset(offset).build()
            }
            (Descriptor::OfSlot, Buffering::Registered) => {
                opcode::ReadFixed::new(types::Fixed(slot.into()), to, len, 0).offset(offset).build()
            }
            (Descriptor::OfSlot, Buffering::LookedUp) => {
                opcode::Read::new(types::Fixed(slot.into()), to, len).offset(offset).build()
            }
        }
    }

    fn hold(&mut self, slot: u16, target: Target) {
        let slot = &mut self.slots[usize::from(slot)];
        assert_eq!(slot.outstanding, 0, "a slot is used again only when the system is done with it");
        slot.target = target;
    }

    fn push(&mut self, slot: u16, entries: &[Entry]) {
        // SAFETY: the entries point into the buffer and at the path of the slot, and name its file: all of these stay
        // until the slot has nothing outstanding (2), and the buffers until nothing at all is (3).
        let pushed = unsafe { self.queues.submission().push_multiple(entries) };
        pushed.expect("the queue has as many entries as the slots can use");
        self.slots[usize::from(slot)].outstanding += u8::try_from(entries.len()).expect("three at most");
        self.outstanding += entries.len();
        self.unsubmitted += entries.len();
    }

    /// Tells the system of what was pushed.
    pub(super) fn submit(&mut self) {
        self.enter(0);
    }

    /// Tells the system, and waits until something is done.
    pub(super) fn wait(&mut self) {
        self.enter(1);
    }

    fn enter(&mut self, wanted: usize) {
        let mut retries = 0;
        while retries < MAX_RETRIES {
            match self.queues.submit_and_wait(wanted).map_err(|why| why.raw_os_error()) {
                Ok(_) => {
                    self.unsubmitted = self.queues.submission().len();
                    return;
                }
                // As often as a profiler likes.
                Err(Some(libc::EINTR)) => {}
                // Too much is underway already, or the kernel is short of memory.
                Err(Some(libc::EAGAIN | libc::EBUSY)) if !self.queues.completion().is_empty() => return,
                Err(Some(libc::EAGAIN | libc::EBUSY)) => {
                    retries += 1;
                    std::thread::yield_now();
                }
                Err(_) => break,
            }
        }
        self.is_broken = true;
    }

    /// Gives everything that is done to `see`.
    pub(super) fn reap(&mut self, mut see: impl FnMut(Done)) {
        let (slots, outstanding) = (&mut *self.slots, &mut self.outstanding);
        for completion in self.queues.completion() {
            let (slot, step) = parse_ticket(completion.user_data());
            let held = &mut slots[usize::from(slot)];
            held.outstanding -= 1;
            *outstanding -= 1;
            let is_last = held.outstanding == 0;
            if is_last {
                // A reader that is idle keeps no file open.
                held.target = Target::None;
            }
            see(Done { slot, step, result: completion.result(), is_last });
        }
    }

    /// Whether the system is done with a slot's buffer.
    pub(super) fn is_settled(&self, slot: u16) -> bool {
        self.slots[usize::from(slot)].outstanding == 0
    }

    /// A slot's buffer, to be written to by ourselves.
    pub(super) fn buffer(&mut self, slot: u16) -> &mut [u8] {
        assert!(self.is_settled(slot), "the bytes are the system's until it is done with them");
        let address = self.buffers.as_mut_ptr().wrapping_add(usize::from(slot) * self.slot_bytes);
        // SAFETY: inside the map, by the number of slots, which is zeros at first and lives as long as `self`; and
        // nobody else reads or writes it while `self` is borrowed (1).
        unsafe { std::slice::from_raw_parts_mut(address, self.slot_bytes) }
    }

    /// Some of the bytes of a slot's buffer.
    pub(super) fn bytes(&self, slot: u16, range: Range<usize>) -> &[u8] {
        assert!(self.is_settled(slot), "the bytes are the system's until it is done with them");
        assert!(range.start <= range.end && range.end <= self.slot_bytes);
        let start = usize::from(slot) * self.slot_bytes + range.start;
        let address = self.buffers.as_ptr().wrapping_add(start);
        // SAFETY: inside the map, by the assertions, which is zeros at first and lives as long as `self`; and nobody
        // writes to it while it is lent (1).
        unsafe { std::slice::from_raw_parts(address, range.end - range.start) }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        while self.outstanding > 0 && !self.is_lost() {
            self.reap(|_| {});
            if self.outstanding > 0 {
                self.wait();
            }
        }
        if self.is_lost() {
            return;
        }
        // SAFETY: they are dropped here only, and not used afterwards. Nothing is outstanding (3). The ring goes
        // first, and takes the registration of the buffers with it.
        unsafe {
            ManuallyDrop::drop(&mut self.queues);
            ManuallyDrop::drop(&mut self.buffers);
            ManuallyDrop::drop(&mut self.slots);
        }
    }
}

fn register(ring: &IoUring, buffers: &MmapRaw) -> Buffering {
    let all = libc::iovec { iov_base: buffers.as_mut_ptr().cast(), iov_len: buffers.len() };
    // SAFETY: the map is not changed before the ring is gone; see `drop`.
    match unsafe { ring.submitter().register_buffers(&[all]) } {
        Ok(()) => Buffering::Registered,
        Err(_) => Buffering::LookedUp,
    }
}

fn prepare_opening(ring: &IoUring, depth: u16) -> Opening {
    // Before it, a linked read looked for its file before that was opened.
    if !ring.params().is_feature_linked_file() {
        return Opening::Unlinked;
    }
    let _wish = ring.submitter().register_iowq_max_workers(&mut [OPENERS, 0]);
    match ring.submitter().register_files(&vec![-1; depth.into()]) {
        Ok(()) => Opening::Linked,
        Err(_) => Opening::Unlinked,
    }
}

/// What a completion is known by.
fn ticket(slot: u16, step: Step) -> u64 {
    let step = match step {
        Step::Read => 0,
        Step::Open => 1,
        Step::Close => 2,
    };
    u64::from(slot) << 2 | step
}

fn parse_ticket(ticket: u64) -> (u16, Step) {
    let slot = u16::try_from(ticket >> 2).expect("a ticket of ours");
    let step = match ticket & 3 {
        0 => Step::Read,
        1 => Step::Open,
        _ => Step::Close,
    };
    (slot, step)
}
