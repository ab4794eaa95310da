//! `list_sync explain`: what a code means, and the way out.

use crate::rig::{Program, Scratch};

#[test]
fn a_code_is_explained() {
    let scratch = Scratch::new("explain");
    let explain = |arguments: &[&str]| Program::run(&scratch.folder, &[&["explain"], arguments].concat());
    let lost = explain(&["slot-lost"]);
    assert_eq!(lost.code, Some(0), "{}", lost.err);
    let out = &lost.out;
    assert!(out.starts_with("slot-lost: The slot is gone") && out.contains("What to do: Raise "), "{out}");
    let all = explain(&[]);
    assert!(all.out.lines().filter(|line| line.starts_with("  ")).count() > 80, "{}", all.out);
    assert!(all.out.contains("\nKafka\n"), "{}", all.out);
    let unknown = explain(&["slot-lots"]);
    assert_eq!(unknown.code, Some(2));
    assert!(unknown.err.contains("slot-lost"), "the nearest one is named: {}", unknown.err);
}
