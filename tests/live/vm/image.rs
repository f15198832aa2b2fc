//! A root filesystem made of one program: no network, no container engine.

use std::path::Path;
use std::process::Command;

use tar::{Builder, EntryType, Header};

const USERS: &str = "root:x:0:0:root:/root:/bin/sh\nbuild:x:1000:1000:build:/local/home:/bin/sh\n";

/// Writes it to `file`, as `docker export` would, with other programs and what they need beside it.
pub(super) fn write(file: &Path, others: &[(String, Vec<u8>)]) {
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(Path::new).into_iter().find(|path| path.is_file()).unwrap();
    let list = Command::new(busybox).arg("--list").output().unwrap();
    let mut tar = Builder::new(std::fs::File::create(file).unwrap());
    for (folder, mode) in [("bin/", 0o755), ("etc/", 0o755), ("root/", 0o700), ("tmp/", 0o1777)] {
        tar.append_data(&mut head(EntryType::Directory, mode, 0), folder, std::io::empty()).unwrap();
    }
    let program = std::fs::read(busybox).unwrap();
    put(&mut tar, "bin/busybox", 0o755, &program);
    put(&mut tar, "etc/passwd", 0o644, USERS.as_bytes());
    put(&mut tar, "etc/group", 0o644, b"root:x:0:\nbuild:x:1000:\n");
    for applet in String::from_utf8(list.stdout).unwrap().lines().filter(|applet| *applet != "busybox") {
        let mut head = head(EntryType::Symlink, 0o777, 0);
        tar.append_link(&mut head, format!("bin/{applet}"), "busybox").unwrap();
    }
    for (path, bytes) in others {
        put(&mut tar, path.trim_start_matches('/'), 0o755, bytes);
    }
    tar.finish().unwrap();
}

fn put(tar: &mut Builder<std::fs::File>, path: &str, mode: u32, bytes: &[u8]) {
    tar.append_data(&mut head(EntryType::Regular, mode, bytes.len() as u64), path, bytes).unwrap();
}

fn head(kind: EntryType, mode: u32, size: u64) -> Header {
    let mut head = Header::new_gnu();
    head.set_entry_type(kind);
    head.set_mode(mode);
    head.set_size(size);
    head.set_uid(0);
    head.set_gid(0);
    head.set_mtime(1_700_000_000);
    head
}
