//! The inflated members of an archive: each once while it is used, the recent ones kept for the next use.
//!
//! # Invariants
//! 1. The kept bytes are the sum of the sizes of the kept members, and never more than the bound: room is made
//!    before a member is kept. What goes first is what was asked for the longest ago.
//! 2. A member larger than the bound is not kept. It is shared while someone has it, as is one let go.
//! 3. One member is inflated by one thread; who asks meanwhile waits for it, and gets the same bytes.
//! 4. A thread that holds the lock of the recent ones takes no other lock, inflates nothing and frees no memory.
//!    So threads wait in one direction only: for a member, then for the recent ones.
//! 5. A fork takes none of these locks: a thread that it does not have may hold them for ever. It begins with
//!    [`Members`] of its own, behind a lock that is only ever tried; whoever does not get it inflates for
//!    itself, which costs time and is as right.
//!
//! Not here: how a member is inflated.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError, Weak};

use npyfeed_io::{Memory, Source};

use crate::error::Result;

/// How many bytes of inflated members an archive keeps when nobody says otherwise: 256 MiB.
///
/// Enough that `archive["x"][i]` in a loop inflates `x` once for the arrays that people put in an .npz file;
/// little beside the memory of a machine that trains.
pub const DEFAULT_KEPT_BYTES: usize = 256 << 20;

/// The inflated members of one archive, which its members' places name.
#[derive(Debug)]
pub(crate) struct Inflated {
    /// The process that made it.
    process: u32,
    members: Members,
    /// Those of a fork, and which.
    of_fork: Mutex<Option<(u32, Arc<Members>)>>,
}

impl Inflated {
    /// None yet, of `member_count` members, of which at most `bound_bytes` will be kept.
    pub(crate) fn new(member_count: usize, bound_bytes: usize) -> Inflated {
        let members = Members::new(member_count, bound_bytes);
        Inflated { process: std::process::id(), members, of_fork: Mutex::new(None) }
    }

    /// The bytes of the member at `place`: those that are there already, or those that `inflate` gives.
    pub(crate) fn get_or_inflate(
        &self,
        place: usize,
        inflate: impl FnOnce() -> Result<Memory>,
    ) -> Result<Arc<Memory>> {
        let process = std::process::id();
        if process == self.process {
            return self.members.get_or_inflate(place, inflate);
        }
        match self.members_of_fork(process) {
            Some(members) => members.get_or_inflate(place, inflate),
            None => inflate().map(Arc::new),
        }
    }

    /// Whether the bytes of the member at `place` are there. Waits for nobody: while it is inflated, they are not.
    pub(crate) fn has(&self, place: usize) -> bool {
        let process = std::process::id();
        if process == self.process {
            return self.members.has(place);
        }
        self.members_of_fork(process).is_some_and(|members| members.has(place))
    }

    /// How many members there are, and how many bytes of them at most are kept.
    fn shape(&self) -> (usize, usize) {
        (self.members.in_use.len(), self.members.bound_bytes)
    }

    /// `None` if another thread looks at the same moment, or looked when this process was forked.
    fn members_of_fork(&self, process: u32) -> Option<Arc<Members>> {
        let mut of_fork = match self.of_fork.try_lock() {
            Ok(of_fork) => of_fork,
            Err(TryLockError::Poisoned(of_fork)) => of_fork.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        match &*of_fork {
            Some((owner, members)) if *owner == process => Some(Arc::clone(members)),
            Some(_) | None => {
                let (member_count, bound_bytes) = self.shape();
                let members = Arc::new(Members::new(member_count, bound_bytes));
                *of_fork = Some((process, Arc::clone(&members)));
                Some(members)
            }
        }
    }
}

#[derive(Debug)]
struct Members {
    bound_bytes: usize,
    /// One for each member: its bytes while someone has them. Locked while it is inflated.
    in_use: Box<[Mutex<Weak<Memory>>]>,
    recent: Mutex<Recent>,
}

impl Members {
    fn new(member_count: usize, bound_bytes: usize) -> Members {
        let in_use = (0..member_count).map(|_| Mutex::default()).collect();
        Members { bound_bytes, in_use, recent: Mutex::default() }
    }

    fn has(&self, place: usize) -> bool {
        match self.in_use[place].try_lock() {
            Ok(in_use) => in_use.strong_count() > 0,
            Err(TryLockError::Poisoned(in_use)) => in_use.get_ref().strong_count() > 0,
            Err(TryLockError::WouldBlock) => false,
        }
    }

    fn get_or_inflate(&self, place: usize, inflate: impl FnOnce() -> Result<Memory>) -> Result<Arc<Memory>> {
        let mut in_use = lock(&self.in_use[place]);
        let memory = match in_use.upgrade() {
            Some(memory) => memory,
            None => Arc::new(inflate()?),
        };
        *in_use = Arc::downgrade(&memory);
        let let_go = lock(&self.recent).used(place, &memory, self.bound_bytes);
        drop(in_use);
        drop(let_go);
        Ok(memory)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panic left behind is whole: each change is one assignment, or keeps the invariants by itself.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The members that are kept, from the one whose use is the longest ago to the latest.
#[derive(Debug, Default)]
struct Recent {
    kept_bytes: usize,
    /// Counts uses; a number for each, which only grows.
    use_count: u64,
    kept: HashMap<usize, (u64, Arc<Memory>)>,
    by_use: BTreeMap<u64, usize>,
}

impl Recent {
    /// Notes a use of the member at `place`. What comes back is kept no more, to be freed without the lock.
    fn used(&mut self, place: usize, memory: &Arc<Memory>, bound_bytes: usize) -> Vec<Arc<Memory>> {
        let mut let_go: Vec<Arc<Memory>> = self.remove(place).into_iter().collect();
        let bytes = memory.bytes().len();
        if bytes > bound_bytes {
            return let_go;
        }
        while self.kept_bytes > bound_bytes - bytes {
            let Some(oldest) = self.by_use.values().next().copied() else { break };
            let_go.extend(self.remove(oldest));
        }
        self.use_count += 1;
        self.kept_bytes += bytes;
        self.kept.insert(place, (self.use_count, Arc::clone(memory)));
        self.by_use.insert(self.use_count, place);
        debug_assert!(self.kept_bytes <= bound_bytes, "room was made");
        let_go
    }

    fn remove(&mut self, place: usize) -> Option<Arc<Memory>> {
        let (number, memory) = self.kept.remove(&place)?;
        self.by_use.remove(&number);
        self.kept_bytes -= memory.bytes().len();
        Some(memory)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// Asks for the members at `places`, one after the other, each dropped at once; how often each was inflated.
    fn inflations(bound_bytes: usize, sizes: &[usize], places: &[usize]) -> Vec<usize> {
        let inflated = Inflated::new(sizes.len(), bound_bytes);
        let counts: Vec<Cell<usize>> = sizes.iter().map(|_| Cell::new(0)).collect();
        for &place in places {
            let inflate = || {
                counts[place].set(counts[place].get() + 1);
                Ok(Memory::from(vec![7; sizes[place]]))
            };
            drop(inflated.get_or_inflate(place, inflate).unwrap());
            let recent = lock(&inflated.members.recent);
            let sum: usize = recent.kept.keys().map(|&place| sizes[place]).sum();
            assert_eq!((recent.kept_bytes, recent.by_use.len()), (sum, recent.kept.len()));
            assert!(sum <= bound_bytes, "{sum} of {bound_bytes}");
        }
        counts.into_iter().map(Cell::into_inner).collect()
    }

    #[test]
    fn what_was_used_recently_is_inflated_once() {
        assert_eq!(inflations(100, &[50, 50], &[0, 1, 0, 1, 0]), [1, 1]);
        assert_eq!(inflations(0, &[50, 0], &[0, 0, 1, 1]), [2, 1], "no bytes are within every bound");
        assert_eq!(inflations(49, &[50, 10], &[0, 1, 0, 1]), [2, 1], "larger than the bound");
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        assert_eq!(inflations(100, &[50, 50, 50], &[0, 1, 0, 2, 0, 1]), [1, 2, 1]);
        assert_eq!(inflations(100, &[10, 80, 90], &[0, 1, 2, 2, 0, 1]), [2, 2, 1]);
    }

    #[test]
    fn any_order_of_uses_keeps_the_bound() {
        let sizes: Vec<usize> = (0..20).map(|place| place * 7 % 31).collect();
        for bound_bytes in [0, 1, 30, 64, 1000] {
            let places: Vec<usize> = (0..500).map(|step| step * step * 13 % 20).collect();
            inflations(bound_bytes, &sizes, &places);
        }
    }

    #[test]
    fn one_let_go_is_shared_while_someone_has_it() {
        let inflated = Inflated::new(1, 0);
        let first = inflated.get_or_inflate(0, || Ok(Memory::from(vec![1; 9]))).unwrap();
        let again = inflated.get_or_inflate(0, || panic!("inflated twice")).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
    }

    #[test]
    fn what_is_being_inflated_is_not_there_yet_and_nobody_waits_to_say_so() {
        let inflated = Inflated::new(1, 100);
        let inflate = || {
            assert!(!inflated.has(0));
            Ok(Memory::from(vec![1; 9]))
        };
        drop(inflated.get_or_inflate(0, inflate).unwrap());
        assert!(inflated.has(0), "kept");
        let let_go = Inflated::new(1, 0);
        drop(let_go.get_or_inflate(0, || Ok(Memory::from(vec![1; 9]))).unwrap());
        assert!(!let_go.has(0));
    }

    #[test]
    fn a_fork_shares_among_itself_and_waits_for_nobody() {
        let mut inflated = Inflated::new(1, 100);
        inflated.process ^= 1; // as a fork sees it
        let _for_ever = inflated.members.in_use[0].lock().unwrap();
        let first = inflated.get_or_inflate(0, || Ok(Memory::from(vec![1; 9]))).unwrap();
        let again = inflated.get_or_inflate(0, || panic!("inflated twice")).unwrap();
        assert!(Arc::ptr_eq(&first, &again));
        let _looking = inflated.of_fork.lock().unwrap();
        let alone = inflated.get_or_inflate(0, || Ok(Memory::from(vec![2; 9]))).unwrap();
        assert_eq!(alone.bytes(), [2; 9]);
    }
}
