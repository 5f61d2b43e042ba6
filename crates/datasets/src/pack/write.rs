//! Writing a pack, image after image; after a kill from where it was.

use std::fs::{File, TryLockError};
use std::io::{BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use longtail_artifact::{ArtifactError, interrupted};

use super::format::{Entry, Kind, Origin, PackKey, Version, array, foot, origins};
use super::problem;
use crate::error::DatasetError;

/// Of the version that is written.
const RECORD_BYTES: usize = Version::WithOrigins.record_bytes();

/// A pack that is being written, beside its place, as `FILE.partial`. Dropped without [`PackWriter::finish`], it stays there,
/// and the next writer goes on with it.
#[derive(Debug)]
pub struct PackWriter {
    path: PathBuf,
    partial: PathBuf,
    /// Locked for as long as it is open.
    file: BufWriter<File>,
    key: PackKey,
    head: Vec<u8>,
    entries: Vec<Entry>,
    origins: Vec<Origin>,
    images: usize,
    end: u64,
}

impl PackWriter {
    /// Begins the pack `path`, or goes on with one of the same key that was begun: every record that is there is checked, and
    /// what follows the last good one is cut off. `progress` hears of bytes checked and bytes to check.
    ///
    /// # Errors
    /// Another process writes it, or a pack of another key was begun there; the file cannot be read or written.
    pub fn open(path: &Path, key: &PackKey, progress: &mut dyn FnMut(u64, u64)) -> Result<Self, DatasetError> {
        let partial = partial(path);
        let failed = |action, source| io(action, &partial, source);
        if let Some(folder) = partial.parent().filter(|folder| *folder != Path::new("")) {
            std::fs::create_dir_all(folder).map_err(|source| io("make the folder", folder, source))?;
        }
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(&partial).map_err(|source| failed("write", source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(ArtifactError::Locked { path: partial }.into()),
            Err(TryLockError::Error(source)) => return Err(failed("lock", source)),
        }
        let head = key.head();
        let length = file.metadata().map_err(|source| failed("read", source))?.len();
        let (mut entries, mut origins) = (Vec::new(), Vec::new());
        let mut found = vec![0; head.len().min(usize::try_from(length).unwrap_or(usize::MAX))];
        file.read_exact(&mut found).map_err(|source| failed("read", source))?;
        if found == head {
            (entries, origins) =
                good_records(&file, head.len() as u64, length, key.images, progress).map_err(|source| match source
                    .kind()
                {
                    ErrorKind::Interrupted => DatasetError::Interrupted, // nothing was cut off
                    _ => failed("read", source),
                })?;
        } else if !head.starts_with(&found) {
            return Err(begun_otherwise(partial, file, key));
        }
        let end = entries.last().map_or(head.len() as u64, Entry::end);
        // Cut off first: whatever is torn must not stand behind what is written next.
        let cut = |file: &mut File| -> std::io::Result<()> {
            if entries.is_empty() {
                file.set_len(0)?;
                file.rewind()?;
                return file.write_all(&head);
            }
            file.set_len(end)?;
            file.seek(SeekFrom::End(0)).map(|_| ())
        };
        cut(&mut file).map_err(|source| failed("write", source))?;
        let file = BufWriter::with_capacity(1 << 20, file);
        let (path, key, images) = (path.to_owned(), key.clone(), key.images);
        Ok(Self { path, partial, file, key, head, entries, origins, images, end })
    }

    /// What the images that are there were made from.
    pub fn origins(&self) -> &[Origin] {
        &self.origins
    }

    /// Cuts off all images but the first `count`.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn keep(&mut self, count: usize) -> Result<(), DatasetError> {
        self.flush()?;
        self.entries.truncate(count);
        self.origins.truncate(count);
        self.end = self.entries.last().map_or(self.head.len() as u64, Entry::end);
        let file = self.file.get_mut();
        let cut = file.set_len(self.end).and_then(|()| file.seek(SeekFrom::End(0)));
        cut.map(|_| ()).map_err(|source| io("write", &self.partial, source))
    }

    /// Images that are there.
    pub fn written(&self) -> usize {
        self.entries.len()
    }

    /// Bytes that are there.
    pub fn bytes(&self) -> u64 {
        self.end
    }

    /// Adds the next image, or why there is none; and what it was made from.
    ///
    /// # Errors
    /// The file cannot be written: a full disk.
    ///
    /// # Panics
    /// If all images are there, or these bytes are more than 4 GB.
    pub fn push(&mut self, kind: Kind, bytes: &[u8], origin: Origin) -> Result<(), DatasetError> {
        assert!(self.entries.len() < self.images, "there are {} images", self.images);
        assert!(u32::try_from(bytes.len()).is_ok(), "an image of {} bytes", bytes.len());
        let entry = Entry::new(self.end + RECORD_BYTES as u64, kind, bytes);
        let before = [&entry.record()[..], &origin].concat();
        let written = self.file.write_all(&before).and_then(|()| self.file.write_all(bytes));
        written.map_err(|source| io("write", &self.partial, source))?;
        self.end = entry.end();
        self.entries.push(entry);
        self.origins.push(origin);
        Ok(())
    }

    /// Hands all that was pushed to the system, where a kill leaves it.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn flush(&mut self) -> Result<(), DatasetError> {
        self.file.flush().map_err(|source| io("write", &self.partial, source))
    }

    /// Writes the entries and gives the file its name.
    ///
    /// # Errors
    /// The file cannot be written; what is there stays for the next writer.
    ///
    /// # Panics
    /// If an image is missing.
    pub fn finish(mut self) -> Result<(), DatasetError> {
        assert_eq!(self.entries.len(), self.images, "every image has a record");
        let entries: Vec<u8> = self.entries.iter().flat_map(Entry::bytes).collect();
        let foot = foot(self.end, self.images, &self.key.identity(Version::WithOrigins, self.entries.iter().copied()));
        let mut write = || -> std::io::Result<()> {
            self.file.write_all(&entries)?;
            self.file.write_all(&origins(&self.origins))?;
            self.file.write_all(&foot)?;
            self.file.flush()
        };
        write().map_err(|source| io("write", &self.partial, source))?;
        Ok(longtail_artifact::publish(&self.partial, &self.path)?)
    }
}

/// Where a pack is written before it is whole.
pub fn partial(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".partial");
    path.with_file_name(name)
}

/// The records from `start` on that are whole, at most `images`, and what they were made from.
fn good_records(
    file: &File,
    start: u64,
    length: u64,
    images: usize,
    progress: &mut dyn FnMut(u64, u64),
) -> std::io::Result<(Vec<Entry>, Vec<Origin>)> {
    let mut reader = BufReader::with_capacity(1 << 20, file);
    let (mut entries, mut origins, mut end, mut bytes) = (Vec::new(), Vec::new(), start, Vec::new());
    while entries.len() < images && end + RECORD_BYTES as u64 <= length {
        if interrupted() {
            return Err(ErrorKind::Interrupted.into());
        }
        let mut record = [0; RECORD_BYTES];
        reader.read_exact(&mut record)?;
        let (begin, origin) = record.split_at(RECORD_BYTES - size_of::<Origin>());
        let Some(entry) = Entry::of_record(&array(begin), end + RECORD_BYTES as u64) else { break };
        if entry.end() > length {
            break;
        }
        bytes.resize(entry.length as usize, 0);
        reader.read_exact(&mut bytes)?;
        if !entry.fits(&bytes) {
            break;
        }
        end = entry.end();
        entries.push(entry);
        origins.push(array(origin));
        progress(end, length);
    }
    Ok((entries, origins))
}

/// The file begins with another head.
fn begun_otherwise(partial: PathBuf, mut file: File, key: &PackKey) -> DatasetError {
    let mut start = Vec::new();
    let read = file.rewind().and_then(|()| file.take(1 << 17).read_to_end(&mut start));
    let found = match read.map_err(|error| error.to_string()).and_then(|_| PackKey::of_head(&start)) {
        Ok((_, _, Version::First)) => {
            "was started by an earlier version of this program, which did not record the contents of the photographs"
                .to_owned()
        }
        Ok((other, ..)) => format!("is the start of another pack: {other}; expected {key}"),
        Err(problem) => format!("is in the way: {problem}"),
    };
    let hint = format!("delete `{}` to start again, or choose another place with --out FILE", partial.display());
    problem(&partial, found, hint)
}

fn io(action: &'static str, path: &Path, source: std::io::Error) -> DatasetError {
    ArtifactError::Io { action, path: path.to_owned(), source }.into()
}

#[cfg(test)]
mod tests {
    use super::super::{Pack, Packed};
    use super::*;

    fn key() -> PackKey {
        PackKey::new("image_folder", "0123456789abcdef", 5, 64, 95)
    }

    fn image(index: usize) -> Vec<u8> {
        (0..index * 37).map(|i| (i * index) as u8).collect()
    }

    fn write(path: &Path, up_to: usize) -> (usize, PackWriter) {
        let mut writer = PackWriter::open(path, &key(), &mut |_, _| {}).expect("writable");
        let there = writer.written();
        for index in there..up_to {
            let kind = if index == 3 { Kind::Bad } else { Kind::Image };
            let bytes = if index == 3 { b"no such file".to_vec() } else { image(index) };
            writer.push(kind, &bytes, [index as u8; 32]).expect("writable");
        }
        writer.flush().expect("writable");
        (there, writer)
    }

    #[test]
    fn what_was_written_is_read_and_cut_anywhere_it_becomes_the_same_file() {
        let folder = tempfile::tempdir().expect("temporary");
        let (whole, torn) = (folder.path().join("whole.pack"), folder.path().join("torn.pack"));
        write(&whole, 5).1.finish().expect("writable");
        assert!(!partial(&whole).exists());
        let bytes = std::fs::read(&whole).expect("there");
        let pack = Pack::open(&whole).expect("sound");
        assert_eq!((pack.key(), pack.len()), (&key(), 5));
        for index in [4, 0, 1, 2] {
            assert!(matches!(pack.get(index), Ok(Packed::Image(found)) if found == image(index)));
        }
        assert!(matches!(pack.get(3), Ok(Packed::Bad("no such file"))));
        // Every length a kill or a full disk may leave, and a partial file with entries behind it.
        let records: Vec<u64> = pack.entries().map(|entry| entry.end()).collect();
        for cut in 0..=bytes.len() {
            std::fs::write(partial(&torn), &bytes[..cut]).expect("writable");
            let (there, writer) = write(&torn, 5);
            assert_eq!(there, records.iter().filter(|&&end| end <= cut as u64).count(), "cut at {cut}");
            writer.finish().expect("writable");
            assert!(std::fs::read(&torn).expect("there") == bytes, "cut at {cut}");
        }
        // A record that was not wholly written although the file is long enough.
        let mut hole = bytes.clone();
        hole[records[0] as usize + RECORD_BYTES + 6] ^= 1;
        std::fs::write(partial(&torn), &hole).expect("writable");
        let (there, writer) = write(&torn, 5);
        assert_eq!(there, 1);
        writer.finish().expect("writable");
        assert!(std::fs::read(&torn).expect("there") == bytes);
    }

    #[test]
    fn one_writer_at_a_time_and_another_pack_is_not_overwritten() {
        let folder = tempfile::tempdir().expect("temporary");
        let path = folder.path().join("deep/er/x.pack");
        let (_, writer) = write(&path, 2);
        let error = PackWriter::open(&path, &key(), &mut |_, _| {}).expect_err("locked").to_string();
        assert!(error.contains("another process is using"), "{error}");
        drop(writer);
        let other = PackKey { short: 32, ..key() };
        let error = PackWriter::open(&path, &other, &mut |_, _| {}).expect_err("another").to_string();
        assert!(error.contains("at most 64") && error.contains("expected") && error.contains("at most 32"), "{error}");
        std::fs::write(partial(&path), b"something of mine").expect("writable");
        let error = PackWriter::open(&path, &key(), &mut |_, _| {}).expect_err("not ours").to_string();
        assert!(error.contains("is in the way"), "{error}");
        assert_eq!(std::fs::read(partial(&path)).expect("there"), b"something of mine");
    }
}
