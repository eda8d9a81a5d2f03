//! What the shell completes, in a bash that somebody types into.

use crate::kill::Daemon;
use crate::terminal::Terminal;
use crate::{perilune, said};

/// The words that a line has become, when it was typed with a tab at its end.
fn completed(bash: &mut Terminal, line: &str) -> String {
    // The line is not run: it is what the shell is told to print.
    bash.types("\x15");
    bash.types(&format!("{line}\t"));
    bash.types("\x01printf '<%s>' \x05; echo e''nd\n");
    let shown = bash.until("end");
    let words = shown.lines().rfind(|line| line.starts_with('<')).unwrap_or_default();
    words.trim_end_matches("end").trim().to_owned()
}

#[test]
fn names_commands_options_and_selectors_are_completed_in_a_real_shell() {
    let data = tempfile::tempdir().unwrap();
    let data = data.path();
    let _daemon = Daemon::start(data);
    for words in [
        &["group", "add", "compute"][..],
        &["rack", "add", "row-1"],
        &["node", "add", "login1,worker[1-2]", "--group", "compute", "--label", "canary=yes"],
    ] {
        let output = perilune(data, words);
        assert!(output.status.success(), "{words:?}: {}", said(&output));
    }
    let mut bash = Terminal::start("bash --norc --noprofile -i", data);
    bash.types("bind 'set bell-style none'; bind 'set enable-bracketed-paste off'\n");
    bash.types("source <(perilune completion bash); echo rea''dy\n");
    bash.until("ready");
    for (typed, words) in [
        ("perilune netw", "<perilune><network>"),
        ("perilune node interf", "<perilune><node><interface>"),
        ("perilune node list --colu", "<perilune><node><list><--columns>"),
        ("perilune node show log", "<perilune><node><show><login1>"),
        (
            "perilune node change login1,worker1,worker2 --gro",
            "<perilune><node><change><login1,worker1,worker2><--group>",
        ),
        (
            "perilune node change login1 --group com",
            "<perilune><node><change><login1><--group><compute>",
        ),
        ("perilune nodes rack:r", "<perilune><nodes><rack:row-1>"),
        ("perilune nodes @com", "<perilune><nodes><@compute>"),
        ("perilune nodes worker1,log", "<perilune><nodes><worker1,login1>"),
        ("perilune nodes label:can", "<perilune><nodes><label:canary=yes>"),
        ("perilune power off @com", "<perilune><power><off><@compute>"),
        ("perilune node list -x log", "<perilune><node><list><-x><login1>"),
        // In quotes, as selectors with & and ! are written.
        ("perilune nodes 'rack:row-1&log", "<perilune><nodes><rack:row-1&login1>"),
        ("perilune nodes \"rack:row-1&@com", "<perilune><nodes><rack:row-1&@compute>"),
        // What nobody knows stays as it is.
        ("perilune nodes nobody", "<perilune><nodes><nobody>"),
    ] {
        assert_eq!(completed(&mut bash, typed), words, "{typed}");
    }
}
