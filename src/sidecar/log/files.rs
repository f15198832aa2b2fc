//! The files that Nomad writes a task's log to: `executor.stdout.0`, and from a size on the next one.
//!
//! The directory is opened before the script starts, and each file once, without following a link; what is open is read
//! to its end, whatever becomes of its name. So a file that is moved, replaced or cut hides nothing that was in it unread,
//! and what could not be read is told.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{CWD, Dir, Mode, OFlags, openat};
use rustix::io::Errno;

use crate::domain::log_chunk::Stream;

/// Below `$NOMAD_ALLOC_DIR`.
const FOLDER: &str = "logs";
/// What is read at once, bytes.
const READ: usize = 128 * 1024;
/// Files with greater numbers are nobody's log: 1 TB at Nomad's usual size.
const LAST: u64 = 100_000;

/// Where the logs of a build's tasks are.
#[derive(Debug, Clone)]
pub(super) struct Folder(Arc<OwnedFd>);

impl Folder {
    /// None where this engine keeps them elsewhere.
    pub(super) fn open(alloc_dir: &Path) -> io::Result<Option<Self>> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match openat(CWD, alloc_dir.join(FOLDER), flags, Mode::empty()) {
            Ok(folder) => Ok(Some(Self(Arc::new(folder)))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The numbers of the files whose names begin so.
    fn numbers(&self, prefix: &str) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in Dir::read_from(&*self.0)? {
            let entry = entry?;
            let name = entry.file_name().to_str().ok().and_then(|name| name.strip_prefix(prefix));
            let number = name.and_then(|digits| digits.parse::<u64>().ok());
            numbers.extend(number.filter(|number| *number <= LAST));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn file(&self, name: &str) -> io::Result<Option<File>> {
        // Without O_NONBLOCK the opening of a pipe would wait for its writer.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        match openat(&*self.0, name, flags, Mode::empty()) {
            Ok(file) => {
                let file = File::from(file);
                Ok(file.metadata()?.is_file().then_some(file))
            }
            Err(Errno::LOOP | Errno::NXIO) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// One stream of the executor's, from its first byte.
#[derive(Debug)]
pub(super) struct Files {
    folder: Folder,
    prefix: String,
    /// The number of the next file to be opened.
    next: u64,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    /// How much of it has been read.
    read: u64,
    /// That its name is gone has been told.
    told: bool,
}

/// What one look gave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Look {
    /// Bytes, in order.
    Data(Vec<u8>),
    /// What is missing here, or may be, in words for people.
    Told(String),
    /// Nothing now.
    Nothing,
}

impl Files {
    pub(super) fn new(folder: Folder, stream: Stream) -> Self {
        Self { folder, prefix: format!("executor.{}.", stream.as_str()), next: 0, open: None }
    }

    /// What comes next.
    pub(super) fn look(&mut self) -> io::Result<Look> {
        loop {
            let Some(open) = &mut self.open else {
                match self.begin()? {
                    Begun::Yes => continue,
                    Begun::No => return Ok(Look::Nothing),
                    Begun::Told(sentence) => return Ok(Look::Told(sentence)),
                }
            };
            if let Some(data) = open.data()? {
                return Ok(Look::Data(data));
            }
            if let Some(sentence) = open.cut()? {
                return Ok(Look::Told(sentence));
            }
            let numbers = self.folder.numbers(&self.prefix)?;
            let gone = open.file.metadata()?.nlink() == 0;
            // Nomad makes the next file when it is done with one, and removes the oldest first: a greater number alone says
            // nothing as long as this file is there.
            let over = numbers.contains(&self.next) || (gone && numbers.last() > Some(&self.next));
            if over {
                // What was written between the last read and the look at the directory.
                if let Some(data) = open.data()? {
                    return Ok(Look::Data(data));
                }
                self.open = None;
            } else if gone && !std::mem::replace(&mut open.told, true) {
                return Ok(Look::Told("the log's file was removed or replaced while it was written".to_owned()));
            } else {
                return Ok(Look::Nothing);
            }
        }
    }

    fn begin(&mut self) -> io::Result<Begun> {
        let numbers = self.folder.numbers(&self.prefix)?;
        let Some(first) = numbers.into_iter().find(|number| *number >= self.next) else { return Ok(Begun::No) };
        if first > self.next {
            let files = first - self.next;
            self.next = first;
            return Ok(Begun::Told(format!(
                "the log is incomplete here: {files} of its files went before they could be read"
            )));
        }
        let name = format!("{}{first}", self.prefix);
        match self.folder.file(&name) {
            Ok(Some(file)) => {
                self.open = Some(Open { file, read: 0, told: false });
                self.next = first + 1;
                Ok(Begun::Yes)
            }
            Ok(None) => {
                self.next = first + 1;
                Ok(Begun::Told(format!("the log is incomplete here: {name} is not a file")))
            }
            // It went just now: the next look tells.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Begun::No),
            Err(error) => Err(error),
        }
    }
}

/// Whether there is a file to read.
enum Begun {
    Yes,
    No,
    Told(String),
}

impl Open {
    fn data(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut bytes = vec![0; READ];
        let read = self.file.read_at(&mut bytes, self.read)?;
        bytes.truncate(read);
        self.read += read as u64;
        Ok((read > 0).then_some(bytes))
    }

    /// Says so if the file is shorter than what was read of it; what comes is read from where it ends now.
    fn cut(&mut self) -> io::Result<Option<String>> {
        let size = self.file.metadata()?.len();
        if size >= self.read {
            return Ok(None);
        }
        self.read = size;
        Ok(Some("the log's file was cut while it was written: something may be missing here".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::PathBuf;

    use super::*;

    struct Logs {
        dir: tempfile::TempDir,
    }

    impl Logs {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            std::fs::create_dir(dir.path().join(FOLDER)).unwrap();
            Self { dir }
        }

        fn path(&self, number: u64) -> PathBuf {
            self.dir.path().join(FOLDER).join(format!("executor.stdout.{number}"))
        }

        fn add(&self, number: u64, text: &str) {
            let file = File::options().create(true).append(true).open(self.path(number));
            file.unwrap().write_all(text.as_bytes()).unwrap();
        }

        fn files(&self) -> Files {
            Files::new(Folder::open(self.dir.path()).unwrap().unwrap(), Stream::Stdout)
        }
    }

    /// All that there is now; told sentences in brackets.
    fn all(files: &mut Files) -> String {
        let mut text = String::new();
        loop {
            match files.look().unwrap() {
                Look::Data(bytes) => text.push_str(&String::from_utf8(bytes).unwrap()),
                Look::Told(sentence) => text.push_str(&format!("[{sentence}]")),
                Look::Nothing => return text,
            }
        }
    }

    #[test]
    fn a_log_is_read_as_it_grows_and_over_its_files() {
        let logs = Logs::new();
        let mut files = logs.files();
        assert_eq!(all(&mut files), "");
        logs.add(0, "one ");
        assert_eq!(all(&mut files), "one ");
        logs.add(0, "two ");
        logs.add(1, "three ");
        logs.add(2, "four");
        assert_eq!(all(&mut files), "two three four");
        assert_eq!(all(&mut files), "");
    }

    #[test]
    fn files_that_went_unread_are_told() {
        let logs = Logs::new();
        let mut files = logs.files();
        logs.add(0, "one ");
        assert_eq!(all(&mut files), "one ");
        logs.add(0, "two ");
        std::fs::remove_file(logs.path(0)).unwrap();
        logs.add(3, "four");
        let text = all(&mut files);
        assert!(text.starts_with("two [") && text.contains("2 of its files") && text.ends_with("]four"), "{text}");
    }

    #[test]
    fn a_replaced_file_is_told_and_the_first_one_read_on() {
        let logs = Logs::new();
        let mut files = logs.files();
        logs.add(0, "one ");
        let mut held = File::options().append(true).open(logs.path(0)).unwrap();
        assert_eq!(all(&mut files), "one ");
        std::fs::remove_file(logs.path(0)).unwrap();
        logs.add(0, "forged");
        held.write_all(b"two").unwrap();
        let text = all(&mut files);
        assert!(text.starts_with("two[") && text.contains("replaced") && !text.contains("forged"), "{text}");
        assert_eq!(all(&mut files), "", "told once");
    }

    #[test]
    fn a_cut_file_is_told_and_read_on() {
        let logs = Logs::new();
        let mut files = logs.files();
        logs.add(0, "one two three");
        assert_eq!(all(&mut files), "one two three");
        File::options().write(true).truncate(true).open(logs.path(0)).unwrap();
        let text = all(&mut files);
        assert!(text.contains("was cut"), "{text}");
        logs.add(0, "more");
        assert_eq!(all(&mut files), "more");
    }

    #[test]
    fn links_pipes_and_far_numbers_lead_nowhere() {
        let logs = Logs::new();
        let secret = logs.dir.path().join("secret");
        std::fs::write(&secret, "s3cr3t").unwrap();
        std::os::unix::fs::symlink(&secret, logs.path(0)).unwrap();
        rustix::fs::mknodat(CWD, logs.path(1), rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        logs.add(2, "log ");
        logs.add(90_000, "forged");
        logs.add(900_000, "forged");
        let mut files = logs.files();
        let text = all(&mut files);
        assert!(text.ends_with("]log ") && text.matches("not a file").count() == 2, "{text}");
        logs.add(2, "more");
        assert_eq!(all(&mut files), "more");
    }
}
