//! What a hostile script does to its machine. Each time: it is not green, the node is unharmed, and so is the next build.

use rustix::process::Signal;

use super::node::{Ended, LONG_LIFE, LOST, Node};

/// Everything in the machine that has a name and that the script may open to write, as lines.
const DOORS: &str = "find /dev /proc/self/fd/ /proc/1/fd/ /proc/$PPID/fd/ /alloc /run /sys/class/virtio-ports/ ! -type d \\
    ! -path '*workspace*' 2>/dev/null | while read -r door; do [ -w \"$door\" ] && echo \"$door\"; done";

async fn run(name: &str, script: &str, flags: &[&str]) -> Option<Ended> {
    let node = Node::begin(name).await?;
    let images = node.images();
    let ended = node.build(script).flags(flags).run().await;
    assert_ne!(ended.code, 0, "{}", ended.err);
    node.is_unharmed().await;
    let changed = images.iter().find(|(path, hash)| node.images().get(*path) != Some(hash));
    assert!(changed.is_none(), "{changed:?}");
    Some(ended)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_for_every_device_and_descriptor_is_no_outcome() {
    let script = format!(
        "#!/bin/sh
{DOORS} | while read -r door; do
    (head -c 20000 /dev/urandom | timeout 2 dd of=\"$door\" conv=notrunc bs=4096) >/dev/null 2>&1
done
for fd in 0 1 2 3 4 5 6 7 8 9; do (head -c 2000 /dev/urandom >&$fd) 2>/dev/null; done
exit 3
"
    );
    let Some(ended) = run("vm: garbage", &script, &[]).await else { return };
    assert_eq!(ended.code, 3, "{}", ended.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_of_output_and_of_calls_is_borne() {
    let script = "#!/bin/sh
for n in 1 2 3 4 5 6 7 8; do
    (while :; do albatros param NONE; done) >/dev/null 2>&1 &
done
(yes error | head -c 5000000) >&2 &
yes | head -c 20000000
wait $!
exit 3
";
    let Some(ended) = run("vm: flood", script, &[]).await else { return };
    assert_eq!((ended.code, ended.out.len()), (3, 20_000_000));
    assert_eq!(ended.err.matches("error\n").count(), 5_000_000 / 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_that_closes_every_channel_ends_all_the_same() {
    let script = "#!/bin/sh
exec <&- >&- 2>&-
for n in 3 4 5 6 7 8 9; do eval \"exec $n<&- $n>&-\"; done
rm -f /alloc/albatros.sock /alloc/albatros.token /alloc/bin/albatros
exit 3
";
    let Some(ended) = run("vm: closed", script, &[]).await else { return };
    assert_eq!(ended.code, 3, "{}", ended.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forged_end_is_none() {
    let script = format!(
        "#!/bin/sh
zeros=0000000000000000000000000000000000000000000000000000000000000000
for nonce in '' $zeros; do
    for end in '{{\"code\":0}}' '{{\"code\":0,\"oom\":false}}'; do
        echo '{{\"is\":\"done\",\"nonce\":\"'$nonce'\",\"end\":'$end'}}'
    done
done >forged
cat forged
cat forged >&2
{DOORS} | while read -r door; do timeout 2 dd if=forged of=\"$door\" conv=notrunc >/dev/null 2>&1; done
grep -rl nonce /proc/1/environ /proc/1/mem /proc/1/maps /proc/$PPID/environ /run /dev/shm 2>/dev/null
exit 3
"
    );
    let Some(ended) = run("vm: forged", &script, &[]).await else { return };
    assert_eq!(ended.code, 3, "{}", ended.err);
    assert!(ended.out().lines().all(|line| line.starts_with("{\"is\":\"done\"")), "{}", ended.out());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_bomb_ends_with_its_machine() {
    let script = "#!/bin/sh
bomb() { bomb | bomb & }
bomb
while :; do :; done
";
    let Some(ended) = run("vm: fork bomb", script, &["--life", "45s"]).await else { return };
    // The script itself may have been ended before, for want of memory.
    let is_late = ended.err.contains("longer than its limit");
    assert!(ended.code == LOST && is_late || ended.code == 137, "{}: {}", ended.code, ended.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_the_machines_alone() {
    let script = "#!/bin/sh
df -k / | tail -n 1
for place in \"$HOME\" /tmp /local; do cat /dev/zero >\"$place/fill\" 2>/dev/null; done
i=0; while [ $i -lt 500 ] && mkdir \"$HOME/d$i\" 2>/dev/null; do i=$((i + 1)); done
echo full >/tmp/more || echo no room
exit 3
";
    let Some(ended) = run("vm: full disk", script, &["--disk", "128M"]).await else { return };
    assert_eq!(ended.code, 3, "{}", ended.err);
    assert!(ended.out().ends_with("no room\n"), "{}", ended.out());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_memory_is_the_machines_alone() {
    let script = "#!/bin/sh
for place in /dev/shm /secrets; do cat /dev/zero >\"$place/fill\" 2>/dev/null; done
tail /dev/zero &
tail /dev/zero
exit 3
";
    let Some(ended) = run("vm: full memory", script, &["--memory", "256"]).await else { return };
    assert_ne!(ended.code, 0, "{}", ended.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_ignores_signals_is_ended_by_force() {
    let Some(node) = Node::begin("vm: deaf").await else { return };
    let script = "#!/bin/sh
trap '' TERM INT HUP QUIT USR1
echo made >it
echo begun
while :; do sleep 1; done
";
    let build = node.build(script).flags(&["--grace", "2s", "--life", LONG_LIFE]);
    let made = build.workspace().join("it");
    let (mut running, _controller) = build.start();
    running.says("begun\n").await;
    running.signal(Signal::TERM);
    let ended = running.end().await;
    // By its own machine, which goes on: what was made comes back.
    assert_eq!(ended.code, 137, "{}", ended.err);
    assert_eq!(std::fs::read_to_string(made).unwrap(), "made\n", "{}", ended.err);
    node.is_unharmed().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_kills_everything_within_reach_has_ended_his_own_build() {
    let Some(ended) = run("vm: kill -1", "#!/bin/sh\nkill -9 -1\nkill -9 $PPID\nkill -9 $$\n", &[]).await else {
        return;
    };
    assert_ne!(ended.code, 0, "{}", ended.err);
}
