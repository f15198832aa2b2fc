//! What a script may ask of its controller, and what it may not.

use albatros::domain::outcome::Outcome;

use super::{Machine, with_params};

#[tokio::test]
async fn a_trusted_build_reads_its_parameters() {
    let machine = Machine::new();
    let script =
        machine.script("#!/bin/sh\nset -e\n../bin/albatros param; ../bin/albatros param A; cat \"$SECRET_PATH\"\n");
    let said = machine.build_order(&with_params(machine.order(&script), "# no\nA=1\nB='t w o'\n")).await;
    assert_eq!(
        (said.stdout.as_str(), said.outcome),
        ("A\nB\n1# no\nA=1\nB='t w o'\n", Outcome::Success),
        "{}",
        said.stderr
    );
}

#[tokio::test]
async fn a_build_that_is_not_trusted_gets_none_and_is_told_so() {
    let machine = Machine::new();
    let mut order =
        machine.order(&machine.script("#!/bin/sh\necho \"${SECRET_PATH-unset}\"\n../bin/albatros param A; echo $?\n"));
    order.grant.as_mut().unwrap().facts.trusted = false;
    let said = machine.build_order(&order).await;
    assert_eq!(said.stdout, "unset\n1\n", "{}", said.stderr);
    assert!(said.stderr.contains("trusted"), "{}", said.stderr);
}
