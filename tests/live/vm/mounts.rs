//! Folders of the node in a machine, and a workspace that is not to come back.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use super::node::Node;

/// A folder of the node with one file, which anybody may write.
fn folder(node: &Node, name: &str) -> PathBuf {
    let folder = node.room().join(name);
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("kept"), "the node's\n").unwrap();
    for (path, mode) in [(folder.clone(), 0o777), (folder.join("kept"), 0o666)] {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }
    folder
}

fn holds(folder: &Path) -> Vec<(String, String)> {
    let files = std::fs::read_dir(folder).unwrap().flatten();
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
    let mut all: Vec<_> = files.map(|file| (file.file_name().into_string().unwrap(), read(file.path()))).collect();
    all.sort();
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_is_to_be_read_and_comes_back_only_where_it_was_said() {
    let Some(node) = Node::begin("vm: mounts").await else { return };
    let (read, written) = (folder(&node, "read"), folder(&node, "written"));
    let script = "#!/bin/sh
cat /a/kept /b/kept
(echo x >/a/new) 2>/dev/null || echo 'no new file'
(echo x >>/a/kept) 2>/dev/null || echo 'not written'
rm -f /a/kept 2>/dev/null || echo 'not removed'
rm /b/kept
printf 'made' >/b/new
";
    let (a, b) = (format!("{}:/a", read.display()), format!("{}:/b:rw", written.display()));
    let ended = node.build(script).flags(&["--mount", &a, "--mount", &b]).run().await;
    let expected = "the node's\nthe node's\nno new file\nnot written\nnot removed\n";
    assert_eq!((ended.code, ended.out()), (0, expected), "{}", ended.err);
    let pair = |name: &str, text: &str| (name.to_owned(), text.to_owned());
    assert_eq!(holds(&read), [pair("kept", "the node's\n")]);
    assert_eq!(holds(&written), [pair("new", "made")]);
    node.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_that_is_not_to_come_back_stays_as_it_was() {
    let Some(node) = Node::begin("vm: no way back").await else { return };
    let build = node.build("#!/bin/sh\ncat kept && echo changed >kept && cat kept && echo x >new\n");
    let build = build.and("kept", b"the node's\n");
    let workspace = build.workspace();
    let ended = build.flags(&["--workspace-out", "none"]).run().await;
    assert_eq!((ended.code, ended.out()), (0, "the node's\nchanged\n"), "{}", ended.err);
    assert_eq!(std::fs::read_to_string(workspace.join("kept")).unwrap(), "the node's\n");
    assert!(!workspace.join("new").exists());
    node.nothing_is_left().await;
}
