//! A folder for each class: what torchvision's `DatasetFolder` makes of it.
//!
//! Classes are the folders, sorted by name. The samples of a class are the .npy files in its folder and in those
//! inside it, links followed: folder by folder, sorted by path, and in each sorted by name.

use std::ffi::{OsStr, OsString};
use std::fs::DirEntry;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use npyfeed_array::{Buffer, ByteOrder, Dtype, Layout, MemoryOrder};
use npyfeed_io::Memory;

use crate::array::Array;
use crate::dataset::Dataset;
use crate::error::{Error, Result};
use crate::rows::{Files, Paths, Rows, entries, is_npy};

impl Dataset {
    /// The samples below `folder/<class>/`, one .npy file each: columns `image`, and `label`, the place of the class
    /// among all, i64. [`classes`](Dataset::classes) has their names.
    ///
    /// ```no_run
    /// let dataset = npyfeed::Dataset::from_folder("train")?; // train/cat/1.npy, train/dog/1.npy, …
    /// assert_eq!(dataset.classes(), Some(&["cat".to_owned(), "dog".to_owned()][..]));
    /// # Ok::<(), npyfeed::Error>(())
    /// ```
    ///
    /// Source of the rule: `torchvision.datasets.DatasetFolder`.
    ///
    /// # Errors
    /// [`ErrorKind::Io`](crate::ErrorKind::Io) if there are no folders, one has no .npy file, or one cannot be read;
    /// those of [`column`](crate::DatasetBuilder::column) for the first file.
    pub fn from_folder(folder: impl AsRef<Path>) -> Result<Dataset> {
        let folder = folder.as_ref();
        let names = class_names(folder)?;
        let (mut files, mut labels, mut lacking) = (Paths::default(), Vec::new(), Vec::new());
        for (label, name) in (0..).zip(&names) {
            let before = files.len();
            push_files(folder.join(name), &mut files)?;
            if files.len() == before {
                lacking.push(name.to_string_lossy());
            }
            labels.resize(files.len(), label);
        }
        if !lacking.is_empty() {
            let (folder_name, lacking) = (folder.display(), lacking.join(", "));
            let message = format!(
                "cannot make a dataset of '{folder_name}': expected an .npy file in each class folder, found none in \
                 {lacking}"
            );
            return Err(Error::no_files(message, folder));
        }
        let images = Files::new(files).map_err(|error| error.while_doing("column 'image'"))?;
        let builder = Dataset::builder().rows("image", Rows::Files(images))?;
        let dataset = builder.rows("label", Rows::of_array(label_array(&labels)?)?)?.build()?;
        let classes = names.iter().map(|name| name.to_string_lossy().into_owned());
        Ok(dataset.with_classes(classes.collect::<Arc<[String]>>()))
    }
}

/// The folders in `folder`, sorted.
fn class_names(folder: &Path) -> Result<Vec<OsString>> {
    let all = entries(folder)?;
    let folders = all.iter().filter(|entry| is_folder(entry));
    let mut names: Vec<OsString> = folders.map(DirEntry::file_name).collect();
    names.sort_unstable();
    if names.is_empty() {
        let message = format!(
            "cannot make a dataset of '{}': expected a folder for each class, found none; a folder of .npy files \
             is a column, as in Dataset(image='{0}')",
            folder.display()
        );
        return Err(Error::no_files(message, folder));
    }
    Ok(names)
}

/// Adds the .npy files below the folder of a class.
fn push_files(class: PathBuf, files: &mut Paths) -> Result<()> {
    let (mut unread, mut found) = (vec![class], Vec::new());
    while let Some(folder) = unread.pop() {
        let mut names = Vec::new();
        for entry in entries(&folder)? {
            if is_folder(&entry) {
                unread.push(entry.path());
            } else if is_npy(&entry.file_name()) {
                names.push(entry.file_name());
            }
        }
        names.sort_unstable();
        found.push((folder, names));
    }
    // As strings are sorted: a path compares by its parts.
    found.sort_unstable_by(|(one, _), (other, _)| bytes(one.as_ref()).cmp(bytes(other.as_ref())));
    for (folder, names) in found {
        for name in names {
            files.push(&folder.join(name));
        }
    }
    Ok(())
}

fn bytes(path: &OsStr) -> &[u8] {
    path.as_bytes()
}

/// Whether it is a folder, or a link to one.
fn is_folder(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_dir() || kind.is_symlink() && entry.path().is_dir())
}

fn label_array(labels: &[i64]) -> Result<Array> {
    let no_memory = |why| Error::system("hold the labels", why);
    let mut buffer = Buffer::zeroed(size_of_val(labels)).map_err(no_memory)?;
    for (slot, label) in buffer.bytes_mut().chunks_exact_mut(size_of::<i64>()).zip(labels) {
        slot.copy_from_slice(&label.to_ne_bytes());
    }
    let layout = Layout::new(Dtype::I64, ByteOrder::NATIVE, &[labels.len()], MemoryOrder::C);
    let layout = layout.map_err(|why| Error::mismatch(why.to_string()))?;
    Array::in_memory(Memory::own("labels".to_owned(), buffer), layout)
}
