//! What an .npz file says of itself: the directory of a zip archive, and the bytes of its members.
//!
//! What comes in are the bytes of the file, of which only the directory, at the end, is touched, and that is
//! copied before it is parsed: the file may be mapped, and another process may write to it. What goes out is a [`Directory`] or the byte that is wrong. A [`Member`] then finds its own bytes, inflates them
//! into memory that the caller brings, and checks them. Source of the rules: APPNOTE.TXT 6.3.10 (PKWARE)
//! and, where it leaves room, what `numpy.savez` writes and Python's `zipfile` reads.
//!
//! ```text
//! [prefix]  local header, data [, descriptor]  …  directory entry …  [zip64 end, locator]  end [comment]
//! ```
//!
//! Why our own: of the crates that read zip, `zip` 9.4 keys members by name, so that duplicates vanish, and
//! `rc-zip` 5.4 guesses the encoding of names and copies the directory before it counts; neither holds the
//! local headers against the directory or says at which byte something is wrong. Of those that write, `zip` aligns
//! data, not the elements behind an .npy header. Inflating is libdeflate's.
//!
//! | question | answer | file |
//! |---|---|---|
//! | where is the directory? | `End::find` | `end.rs` |
//! | what does it say of a member? | `entry::read` | `entry.rs` |
//! | where are its bytes, and what are they? | [`Member::data_range`], [`Member::inflate`] | `member.rs` |
//! | what stands around the bytes of a new one? | [`ArchiveWriter`] | `write.rs` |
//! | what went wrong, at which byte? | [`ArchiveError`] | `error.rs` |

mod crc;
mod end;
mod entry;
mod error;
mod fields;
mod member;
mod write;

pub use crc::Crc;
pub use error::ArchiveError;
pub use member::{Member, Method};
pub use write::{ArchiveWriter, NewMember, Written};

use end::End;
use fields::Excerpt;

/// How much of a directory is copied at a time, and parsed out of the copy: what is mapped need not hold still. A
/// directory of 256 MiB may be a hole in a file of no bytes, and ends with the first entry that is none.
const WINDOW_BYTES: usize = 1 << 20;

/// The members of an archive: read from its directory and checked against each other and the file's size.
///
/// Holding one is the proof that no two members share a key or a byte, that all lie before the directory,
/// that no name leads out of a folder, and that no size is beyond what its bytes can give. What the local
/// headers say is checked when a member is used, so that opening touches the directory alone.
///
/// ```
/// use npyfeed_npy::Directory;
///
/// let empty = b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"; // what numpy.savez writes of no arrays
/// assert_eq!(Directory::parse(empty)?.members().len(), 0);
/// # Ok::<(), npyfeed_npy::ArchiveError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Directory {
    members: Vec<Member>,
    /// Places in `members`, sorted by their keys.
    by_key: Vec<usize>,
}

impl Directory {
    /// Whether `file` is a zip archive, sound or not: it starts like one, or it has an end record, as an
    /// archive with something in front does.
    pub fn is_archive(file: &[u8]) -> bool {
        file.starts_with(&fields::LOCAL_SIGNATURE)
            || file.starts_with(&fields::END_SIGNATURE)
            || End::is_there(file)
    }

    /// The directory of the archive `file`.
    ///
    /// # Errors
    /// [`ArchiveError`], with the byte of the file that is wrong.
    pub fn parse(file: &[u8]) -> Result<Directory, ArchiveError> {
        let end = End::find(file)?;
        let mut window = window(file, &end, end.directory.start);
        let mut members = Vec::new();
        let mut offset = end.directory.start;
        for _ in 0..end.member_count {
            let copied_bytes = window.rest(offset).len();
            if copied_bytes < entry::MAX_ENTRY_BYTES && offset + copied_bytes < end.directory.end {
                window = self::window(file, &end, offset);
            }
            let (member, next) = entry::read(&window, offset, &end)?;
            members.push(member);
            offset = next;
        }
        if offset != end.directory.end {
            let (found, expected) = (offset, end.directory.end);
            return Err(ArchiveError::DirectoryTail { offset: found, expected });
        }
        bound_members(&mut members, end.directory.start)?;
        let by_key = sorted_by_key(&members)?;
        Ok(Directory { members, by_key })
    }

    /// The members, in the order of the directory.
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// The place of the member called `name`: its key, or its whole name, as `numpy.load` looks it up.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.find_key(name).or_else(|| {
            let place = self.find_key(name.strip_suffix(member::SUFFIX)?)?;
            (self.members[place].name() == name).then_some(place)
        })
    }

    fn find_key(&self, key: &str) -> Option<usize> {
        let found = self.by_key.binary_search_by(|&place| self.members[place].key().cmp(key));
        found.ok().map(|index| self.by_key[index])
    }
}

/// A copy of the directory from `offset` on, with a whole entry at least, unless the directory ends before.
fn window(file: &[u8], end: &End, offset: usize) -> Excerpt {
    const { assert!(WINDOW_BYTES >= entry::MAX_ENTRY_BYTES) };
    Excerpt::copy(file, offset..end.directory.end.min(offset.saturating_add(WINDOW_BYTES)))
}

/// Tells each member where the next one, or the directory, begins.
///
/// A member takes at least its local header, its name and its data; that much is known here without
/// touching it. How much more the local header takes, it says itself: [`Member::data_range`].
fn bound_members(members: &mut [Member], directory_start: usize) -> Result<(), ArchiveError> {
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_unstable_by_key(|&place| members[place].header_offset());
    for (index, &place) in order.iter().enumerate() {
        let next = order.get(index + 1).map(|&next| &members[next]);
        let limit = next.map_or(directory_start, Member::header_offset);
        let neighbour = next.map(|next| next.name().to_owned());
        members[place].bound(limit, neighbour.as_deref())?;
    }
    Ok(())
}

fn sorted_by_key(members: &[Member]) -> Result<Vec<usize>, ArchiveError> {
    let mut places: Vec<usize> = (0..members.len()).collect();
    places.sort_by(|&a, &b| members[a].key().cmp(members[b].key())); // stable: the later duplicate is named
    match places.windows(2).find(|pair| members[pair[0]].key() == members[pair[1]].key()) {
        None => Ok(places),
        Some(pair) => {
            let [first, again] = [&members[pair[0]], &members[pair[1]]];
            Err(ArchiveError::Repeated {
                offset: again.entry_offset(),
                name: error::quoted(again.name()),
                first: first.entry_offset(),
            })
        }
    }
}
