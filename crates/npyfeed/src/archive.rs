//! Arrays in an .npz file.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use npyfeed_array::Buffer;
use npyfeed_io::{Memory, Mode, Section, Source};
use npyfeed_npy::{Directory, Member, Method};

use crate::array::{Array, Origin};
use crate::error::{Error, ErrorKind, Result};
use crate::inflated::Inflated;
use crate::load_many::load_many;
use crate::open::{NPY_MAGIC, OpenOptions, Opened};
use crate::reopen::{OpenedFile, Step};

/// Which members are held against their CRC-32 when they are first used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CrcCheck {
    /// Those that are inflated, which are read anyway. A stored member is not read before its elements are.
    #[default]
    Deflated,
    /// Every member, at the cost of a pass over the bytes of stored ones.
    All,
}

/// The arrays of an .npz file, by name. Opening reads the directory at its end and nothing else.
///
/// A member that is stored (`numpy.savez`) is an array over the mapped file, not copied. One that is
/// deflated (`numpy.savez_compressed`) is inflated when it is asked for, by the thread that asks, several
/// side by side if several threads do; [`load`](Archive::load) does so with threads of its own. It is shared as
/// long as an [`Array`] over it lives, so that asking twice gives the same bytes, and the archive keeps those
/// last used up to [`DEFAULT_KEPT_BYTES`], or as [`OpenOptions::memory`] says. Clones share all that.
/// After a fork the child inflates what it needs itself, whatever its parent was doing.
///
/// ```no_run
/// use npyfeed::{Archive, Dataset};
///
/// let archive = Archive::open("arrays.npz")?;
/// for name in archive.names() {
///     println!("{name}");
/// }
/// let images = archive.array("images")?;
/// let dataset = Dataset::builder().column("image", images)?.column("label", "arrays.npz:labels")?.build()?;
/// # Ok::<(), npyfeed::Error>(())
/// ```
///
/// Source of the rules: `numpy.savez`, `numpy.lib.npyio.NpzFile`, APPNOTE.TXT.
#[derive(Clone, Debug)]
pub struct Archive(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    file: Arc<dyn Source>,
    /// Where it lies.
    origin: Origin,
    directory: Directory,
    options: OpenOptions,
    inflated: Inflated,
    /// Of each stored member, whether it was held against its CRC.
    is_checked: Box<[AtomicBool]>,
}

/// A member of an archive: what `numpy.load` gives for it.
#[derive(Clone, Debug)]
pub enum Content {
    /// An .npy file.
    Array(Array),
    /// Anything else: its bytes.
    Bytes(Vec<u8>),
}

impl Archive {
    /// Opens an .npz file.
    ///
    /// # Errors
    /// - [`ErrorKind::Io`](crate::ErrorKind::Io) if the system will not open it, or it is no regular file;
    /// - [`ErrorKind::Format`](crate::ErrorKind::Format) if its directory is not sound: cut short, members
    ///   that overlap, share a name, climb out by their names, or state sizes that cannot be.
    pub fn open(path: impl AsRef<Path>) -> Result<Archive> {
        match OpenOptions::new().open(path.as_ref())? {
            Opened::Archive(archive) => Ok(archive),
            Opened::Array(array) => {
                let message =
                    format!("cannot open '{}': expected an .npz file, found an .npy file", array.name());
                Err(Error::new(ErrorKind::Format, message).on(path.as_ref()))
            }
        }
    }

    /// The archive whose bytes are `file`.
    pub(crate) fn read(file: Arc<dyn Source>, origin: Origin, options: OpenOptions) -> Result<Archive> {
        if options.mode == Mode::ReadWrite {
            let found = "expected an .npy file for mode 'r+', found an .npz file, whose members carry a CRC; save the members anew with save_npz";
            return Err(Error::unsupported(format!("cannot open '{}' to be written: {found}", file.name())));
        }
        let directory =
            Directory::parse(file.bytes()).map_err(|why| Error::bad_archive(file.name(), &why))?;
        let member_count = directory.members().len();
        let inflated = Inflated::new(member_count, options.kept_bytes);
        let is_checked = (0..member_count).map(|_| AtomicBool::new(false)).collect();
        Ok(Archive(Arc::new(Inner { file, origin, directory, options, inflated, is_checked })))
    }

    /// The number of members.
    pub fn len(&self) -> usize {
        self.0.directory.members().len()
    }

    /// Whether there are no members.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The names of the members in the order of the file, without `".npy"`, as `numpy.load` gives them.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.directory.members().iter().map(Member::key)
    }

    /// Whether there is a member of that name, with or without `".npy"`.
    pub fn contains(&self, name: &str) -> bool {
        self.0.directory.find(name).is_some()
    }

    /// The file, if it is one.
    pub fn path(&self) -> Option<&Path> {
        self.0.origin.path.as_deref()
    }

    /// The file as it was when it was opened, if it is one.
    pub(crate) fn opened_file(&self) -> Option<&Arc<OpenedFile>> {
        self.0.origin.way.as_ref().map(|way| &way.file)
    }

    /// What errors call it: the path of its file, or `"memory"`.
    pub fn name(&self) -> &str {
        self.0.file.name()
    }

    /// The member called `name`, with or without `".npy"`, as an array.
    ///
    /// # Errors
    /// Those of [`get`](Archive::get); [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if it is
    /// no .npy file.
    pub fn array(&self, name: &str) -> Result<Array> {
        match self.get(name)? {
            Content::Array(array) => Ok(array),
            Content::Bytes(_) => {
                let (file, names) = (self.0.file.name(), self.listed());
                let message = format!(
                    "cannot open '{file}:{name}': expected an array, found other bytes; there are {names}"
                );
                Err(Error::unsupported(message).about(self.path()))
            }
        }
    }

    /// The member called `name`, with or without `".npy"`: an array if it is an .npy file, else its bytes.
    ///
    /// # Errors
    /// - [`ErrorKind::Mismatch`](crate::ErrorKind::Mismatch) if there is no such member;
    /// - [`ErrorKind::Format`](crate::ErrorKind::Format) if its local header and the directory disagree, its
    ///   bytes do not inflate to what is stated, their CRC-32 is another, or their .npy header is not sound;
    /// - [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if it is encrypted, kept in another way
    ///   than stored or deflated, or of elements that [`open`](crate::open) would not open;
    /// - [`ErrorKind::Io`](crate::ErrorKind::Io) if there is no memory to inflate it into.
    pub fn get(&self, name: &str) -> Result<Content> {
        let place = self.0.directory.find(name).ok_or_else(|| self.no_member(name))?;
        self.0.content(place).map_err(|error| error.about(self.path()))
    }

    /// Whether [`get`](Archive::get) has nothing to read or inflate for it, or at most `at_once_bytes`: for who
    /// has something else to do meanwhile. Waits for nobody. A name that is not there is told at once.
    pub fn is_at_hand(&self, name: &str, at_once_bytes: usize) -> bool {
        let Some(place) = self.0.directory.find(name) else { return true };
        let member = &self.0.directory.members()[place];
        if member.plain_bytes() <= at_once_bytes as u64 {
            return true;
        }
        match member.method() {
            Method::Deflated => self.0.inflated.has(place),
            Method::Stored | Method::Other(_) => self.0.has_been_checked(place),
        }
    }

    /// The members called `names`, each as [`get`](Archive::get) gives it, in that order. Deflated ones are
    /// inflated side by side, by as many threads as the CPU has; none of them outlives the call.
    ///
    /// # Errors
    /// Those of [`get`](Archive::get): the one of the earliest name that has one. Whether the names are there
    /// is looked at first.
    ///
    /// ```no_run
    /// let archive = npyfeed::Archive::open("arrays.npz")?;
    /// let names: Vec<&str> = archive.names().collect();
    /// let contents = archive.load(&names)?;
    /// # Ok::<(), npyfeed::Error>(())
    /// ```
    pub fn load(&self, names: &[&str]) -> Result<Vec<Content>> {
        let find = |name: &&str| self.0.directory.find(name).ok_or_else(|| self.no_member(name));
        let places: Vec<usize> = names.iter().map(find).collect::<Result<_>>()?;
        let deflated_count = places.iter().filter(|&&place| self.0.is_deflated(place)).count();
        let open = |index: usize| self.0.content(places[index]).map_err(|error| error.about(self.path()));
        load_many(places.len(), deflated_count, open)
    }

    fn no_member(&self, name: &str) -> Error {
        let (file, names) = (self.0.file.name(), self.listed());
        let message = format!("there is no member '{}' in '{file}', it has {names}", printable(name));
        Error::mismatch(message).about(self.path())
    }

    /// The first names, as a message shows them.
    pub fn listed(&self) -> String {
        const SHOWN: usize = 8;
        let shown: Vec<String> = self.names().take(SHOWN).map(printable).collect();
        let more = self.len().saturating_sub(SHOWN);
        match (shown.len(), more) {
            (0, _) => "no members".to_owned(),
            (_, 0) => shown.join(", "),
            (_, more) => format!("{} and {more} more", shown.join(", ")),
        }
    }
}

impl Inner {
    fn content(&self, place: usize) -> Result<Content> {
        let member = &self.directory.members()[place];
        let source = self.bytes_of(place, member)?;
        if source.bytes().starts_with(NPY_MAGIC) || member.name() != member.key() {
            let way = self.origin.way.as_ref().map(|way| way.and(Step::Member(member.key().to_owned())));
            let origin = Origin { way, ..self.origin.clone() };
            return self.options.array(source, origin, 0).map(Content::Array);
        }
        Ok(Content::Bytes(source.bytes().to_vec()))
    }

    fn bytes_of(&self, place: usize, member: &Member) -> Result<Arc<dyn Source>> {
        match member.method() {
            Method::Stored | Method::Other(_) => self.stored(place, member),
            Method::Deflated => self.inflated(place, member),
        }
    }

    fn is_deflated(&self, place: usize) -> bool {
        match self.directory.members()[place].method() {
            Method::Deflated => true,
            Method::Stored | Method::Other(_) => false,
        }
    }

    /// The bytes of a stored member, where they lie in the file.
    fn stored(&self, place: usize, member: &Member) -> Result<Arc<dyn Source>> {
        let bad = |why| Error::bad_archive(self.file.name(), &why);
        let range = member.data_range(self.file.bytes()).map_err(bad)?;
        let section = Section::new(self.name_of(member), Arc::clone(&self.file), range);
        let section =
            section.ok_or_else(|| Error::new(ErrorKind::Internal, "a member outside its archive"))?;
        if !self.has_been_checked(place) {
            member.check_crc(section.bytes()).map_err(bad)?;
            // Once: what the user writes over the bytes later is no damage.
            self.is_checked[place].store(true, Ordering::Relaxed);
        }
        Ok(Arc::new(section))
    }

    /// Whether a stored member needs no pass over its bytes, or no further one.
    fn has_been_checked(&self, place: usize) -> bool {
        match self.options.crc_check {
            CrcCheck::Deflated => true,
            CrcCheck::All => self.is_checked[place].load(Ordering::Relaxed),
        }
    }

    /// The bytes of a deflated member, which are those that others have already, if any do.
    fn inflated(&self, place: usize, member: &Member) -> Result<Arc<dyn Source>> {
        Ok(self.inflated.get_or_inflate(place, || self.inflate(member))?)
    }

    fn inflate(&self, member: &Member) -> Result<Memory> {
        let bad = |why| Error::bad_archive(self.file.name(), &why);
        let file = self.file.bytes();
        let range = member.data_range(file).map_err(bad)?;
        let name = self.name_of(member);
        let bytes = usize::try_from(member.plain_bytes()).unwrap_or(usize::MAX);
        let mut buffer = Buffer::zeroed(bytes)
            .map_err(|why| Error::system(&format!("get {bytes} bytes to inflate '{name}'"), why))?;
        let inflated = member.inflate(&file[range], buffer.bytes_mut());
        self.file.check().map_err(|why| Error::changed(self.file.name(), why))?;
        inflated.map_err(bad)?;
        let memory = Memory::own(name, buffer);
        let is_read_only = self.options.mode == Mode::ReadOnly;
        Ok(if is_read_only { memory.read_only() } else { memory })
    }

    fn name_of(&self, member: &Member) -> String {
        format!("{}:{}", self.file.name(), printable(member.key()))
    }
}

/// A name for a message: shortened, and without letters that would act on a terminal.
fn printable(name: &str) -> String {
    const SHOWN: usize = 60;
    let more = if name.chars().nth(SHOWN).is_some() { "…" } else { "" };
    name.chars().take(SHOWN).flat_map(char::escape_debug).chain(more.chars()).collect()
}
