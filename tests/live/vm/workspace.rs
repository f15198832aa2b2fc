//! The workspace goes in, and what the script made of it comes back.

use std::os::unix::fs::{PermissionsExt as _, symlink};

use super::node::Node;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_workspace_goes_in_and_comes_back_as_the_script_left_it() {
    let Some(node) = Node::begin("vm: workspace").await else { return };
    let script = "#!/bin/sh
set -e
cat 'in/a name with  spaces' tool >/dev/null
./tool
readlink link
rm -r gone in
mkdir -p out/deep
printf 'made' >out/deep/file
printf '#!/bin/sh\\n' >out/run && chmod 755 out/run
ln -s deep/file out/link
printf 'changed' >kept
";
    let build = node.build(script).and("in/a name with  spaces", b"1").and("gone/x", b"2").and("kept", b"3");
    let build = build.and("tool", b"#!/bin/sh\necho tool runs\n");
    build.mode("tool", 0o755);
    symlink("kept", build.workspace().join("link")).unwrap();
    let workspace = build.workspace();
    let ended = build.run().await;
    assert_eq!((ended.code, ended.out()), (0, "tool runs\nkept\n"), "{}", ended.err);
    let read = |name: &str| std::fs::read_to_string(workspace.join(name)).unwrap_or_default();
    assert_eq!(
        (read("out/deep/file"), read("kept"), read("out/link")),
        ("made".into(), "changed".into(), "made".into())
    );
    assert_eq!(std::fs::read_link(workspace.join("out/link")).unwrap().to_str(), Some("deep/file"));
    assert!(!workspace.join("gone").exists() && !workspace.join("in").exists());
    assert_ne!(std::fs::metadata(workspace.join("out/run")).unwrap().permissions().mode() & 0o100, 0);
    node.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn links_of_the_workspace_lead_nowhere_on_the_node() {
    let Some(node) = Node::begin("vm: links").await else { return };
    let outside = node.room().join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("file"), "the node's\n").unwrap();
    let at = outside.to_str().unwrap();
    let script = format!(
        "#!/bin/sh
readlink given
rm -r folder
ln -s {at} folder
ln -s ../../../../../../../..{at}/file climbing
mkdir -p mine && ln -s {at}/new mine/new && echo x >mine/beside
"
    );
    let build = node.build(&script).and("folder/file", b"the script's\n");
    let workspace = build.workspace();
    symlink("/usr/bin/python3", workspace.join("given")).unwrap();
    let ended = build.run().await;
    assert_eq!((ended.code, ended.out()), (0, "/usr/bin/python3\n"), "{}{}", ended.out(), ended.err);
    let names: Vec<_> = std::fs::read_dir(&outside).unwrap().flatten().map(|file| file.file_name()).collect();
    assert_eq!(names, ["file"]);
    assert_eq!(std::fs::read_to_string(outside.join("file")).unwrap(), "the node's\n");
    // They come back as they stand, and nothing of the node's was read or written through them.
    assert_eq!(std::fs::read_link(workspace.join("folder")).unwrap(), outside);
    assert!(workspace.join("climbing").symlink_metadata().unwrap().is_symlink());
    assert_eq!(std::fs::read_link(workspace.join("mine/new")).unwrap(), outside.join("new"));
    assert_eq!(std::fs::read_to_string(workspace.join("mine/beside")).unwrap(), "x\n");
    node.nothing_is_left().await;
}
