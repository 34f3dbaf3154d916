//! Discovery by a file, followed as it changes.
//!
//! It is polled, since a file that is replaced (as editors and ConfigMaps do) escapes a watch on
//! the file, and polling one file a second costs nothing. A bad file changes nothing.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use tokio::fs;

use crate::service::Service;

/// The time between two looks at the file.
const EVERY: Duration = Duration::from_secs(1);
/// The largest file that is read: 4 MiB.
const LARGEST: u64 = 4 << 20;

/// What tells that a file may have changed.
#[derive(PartialEq, Eq)]
struct Mark {
    modified: SystemTime,
    size: u64,
    inode: u64,
}

/// Takes the endpoints in the file at `path`, and again whenever it changes.
pub(super) async fn follow(service: &Service, path: &Path) {
    let (mut seen, mut read) = (None, None);
    loop {
        match look(path, &mut seen, &mut read).await {
            Ok(None) => {}
            Ok(Some(text)) => match config::endpoints_file(&text, &path.display().to_string()) {
                Ok(endpoints) => service.discovered(endpoints),
                Err(report) => service.discovery_failed(report.to_string()),
            },
            Err(why) => {
                seen = None;
                service.discovery_failed(format!("{}: {why}", path.display()));
            }
        }
        tokio::time::sleep(EVERY).await;
    }
}

/// The file's text, if it is another than the one read last.
async fn look(path: &Path, seen: &mut Option<Mark>, read: &mut Option<String>) -> io::Result<Option<String>> {
    let about = fs::metadata(path).await?;
    let mark = Mark { modified: about.modified()?, size: about.len(), inode: about.ino() };
    if seen.as_ref() == Some(&mark) {
        return Ok(None);
    }
    if mark.size > LARGEST {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "the file is larger than 4 MiB"));
    }
    let text = fs::read_to_string(path).await?;
    // After a failure the same text is taken once more, so that the failure is no longer told.
    let changed = seen.is_none() || read.as_ref() != Some(&text);
    *seen = Some(mark);
    *read = Some(text.clone());
    Ok(changed.then_some(text))
}
