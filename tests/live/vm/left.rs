//! Nothing of run n is there in run n+1, and the image is what it was.

use super::node::{LOST, Node};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_sees_nothing_of_the_one_before_it() {
    let Some(node) = Node::begin("vm: run after run").await else { return };
    let marks = "#!/bin/sh
for place in /tmp \"$HOME\" \"$TMPDIR\" /dev/shm /local /secrets /alloc .; do
    echo mark-of-run-one >\"$place/mark\" 2>/dev/null && echo \"$place\"
done
(while :; do sleep 1; done) >/dev/null 2>&1 &
";
    let first = node.build(marks).run().await;
    assert_eq!(first.code, 0, "{}", first.err);
    assert!(first.out().lines().count() >= 4, "{}", first.out());
    let images = node.images();
    let look = "#!/bin/sh
find / -xdev -name mark 2>/dev/null
for place in /tmp \"$HOME\" \"$TMPDIR\" /dev/shm /local /secrets /alloc .; do ls \"$place/mark\" 2>/dev/null; done
ps | grep -c 'slee[p]'
for disk in /dev/vd*; do grep -c mark-of-run-one \"$disk\" 2>/dev/null; done
exit 0
";
    let second = node.build(look).run().await;
    assert_eq!((second.code, second.out()), (0, "0\n"), "{}", second.err);
    assert_eq!(node.images(), images);
    node.nothing_is_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_is_never_written() {
    let Some(node) = Node::begin("vm: image").await else { return };
    // The first run makes what is cached beside the image.
    assert_eq!(node.build("#!/bin/sh\n").run().await.code, 0);
    let images = node.images();
    assert!(!images.is_empty());
    let script = "#!/bin/sh
for file in /bin/busybox /etc/passwd /etc/group; do echo x >>$file && echo \"wrote $file\"; done
rm -rf /bin/* /etc/* 2>/dev/null
for disk in /dev/vd* /dev/sd* /dev/mem /dev/kmem /dev/port; do (echo x >$disk) 2>/dev/null && echo \"wrote $disk\"; done
mount -o remount,rw / 2>/dev/null && echo remounted
exit 0
";
    let ended = node.build(script).run().await;
    assert_eq!((ended.code, ended.out()), (0, ""), "{}", ended.err);
    assert_eq!(node.images(), images);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_is_not_there_is_said_and_no_script_is_run() {
    let Some(node) = Node::begin("vm: no image").await else { return };
    let ended = node.build("#!/bin/sh\necho ran\n").var("NOMAD_META_IMAGE", "none-of-this-name").run().await;
    assert_eq!((ended.code, ended.out()), (LOST, ""), "{}", ended.err);
    assert!(ended.err.contains("none-of-this-name"), "{}", ended.err);
    node.nothing_is_left().await;
}
