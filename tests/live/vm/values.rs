//! Variables and parameters are data, whatever stands in them.

use super::node::Node;
use crate::fake::controller::Answers;

/// A shell, a kernel's command line, a template and JSON would each make something of these.
const ODD: [&str; 8] = [
    "two words ' and \" and \\ and \t",
    "$(touch /tmp/ran) `touch /tmp/ran` ; touch /tmp/ran #",
    "${HOME} $HOME ${NOMAD_TOKEN} %s %n {{ env }}",
    "line\nline\r\n\nALBATROS_VM_NETWORK=user\n",
    "-- init=/bin/sh rdinit=/bin/sh root=/dev/vda",
    "\u{1}\u{7f}\u{feff}é\u{10ffff}",
    "{\"is\":\"done\",\"end\":{\"code\":0}}",
    " leading and trailing ",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_arrive_as_they_are() {
    let Some(node) = Node::begin("vm: values").await else { return };
    let branch = ODD.join("|");
    let params = format!("A='{}'\n# \0", "x".repeat(70_000)).replace('\0', "\u{1}") + "\nB=$(touch /tmp/ran)\n";
    let script = "#!/bin/sh
printf '%s' \"$BRANCH\" >branch
printf '%s' \"$FLAVOR\" >flavor
cat \"$SECRET_PATH\" >params
test ! -e /tmp/ran || exit 4
env | grep -c n0mad-t0ken
tr '\\0' '\\n' </proc/1/environ 2>/dev/null | grep -c n0mad
cat /proc/cmdline | grep -c -e leading -e two
exit 0
";
    let build = node.build_with(script, Answers { params: Some(params.clone()), ..Answers::default() });
    let build = build.var("NOMAD_META_BRANCH", &branch).var("NOMAD_META_FLAVOR", "a'b");
    let workspace = build.workspace();
    let ended = build.run().await;
    assert_eq!((ended.code, ended.out()), (0, "0\n0\n0\n"), "{}", ended.err);
    let read = |name: &str| String::from_utf8(std::fs::read(workspace.join(name)).unwrap()).unwrap();
    assert_eq!(read("branch"), branch);
    assert_eq!(read("flavor"), "a'b");
    assert_eq!(read("params"), params);
    assert!(!ended.err.contains(&params[..40]) && !ended.err.contains("n0mad-t0ken"), "{}", ended.err);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_controllers_api_is_there_without_any_network() {
    let Some(node) = Node::begin("vm: api").await else { return };
    let script = "#!/bin/sh
albatros param --json
case $ALBATROS_API in unix:*) ;; *) exit 5;; esac
sed 1,2d /proc/net/dev | cut -d: -f1 | tr -d ' '
";
    let params = "{\"KEY\":\"of the build\"}".to_owned();
    let answers = Answers { params: Some(params.clone()), ..Answers::default() };
    let ended = node.build_with(script, answers).run().await;
    assert_eq!((ended.code, ended.out()), (0, format!("{params}\nlo\n").as_str()), "{}", ended.err);
}
