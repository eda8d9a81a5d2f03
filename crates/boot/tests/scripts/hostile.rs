//! Values that people typed never become commands.
#![expect(clippy::disallowed_methods, reason = "bash runs what is tested")]

use std::fs;
use std::process::Command;

use perilune_boot::{Error, Site};
use perilune_model::Draft;
use perilune_model::interface::Link;
use proptest::prelude::*;

use crate::cluster::{
    MAC, built_in, change_image, change_node, environment, everything, name, script_of, small,
};
use crate::install::bash_parses;
use crate::ipxe::problems;

/// What could end a word, a line, a quotation, a document or an expansion, among ordinary text.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        "[a-z0-9=.,-]{1,6}",
        Just(" ".to_owned()),
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("'".to_owned()),
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just("`: > MARK`".to_owned()),
        Just("$(: > MARK)".to_owned()),
        Just("${".to_owned()),
        Just("$".to_owned()),
        Just("{".to_owned()),
        Just("}".to_owned()),
        Just(" || shell".to_owned()),
        Just(" && shell".to_owned()),
        Just(" ; shell".to_owned()),
        Just(" # ".to_owned()),
        Just("{{ LUNA_TOKEN }}".to_owned()),
        Just("\nLUNA_END_OF_INTERFACE\n: > MARK\n".to_owned()),
        Just("## BMC CODE SEGMENT".to_owned()),
    ];
    prop::collection::vec(piece, 1..6).prop_map(|pieces| pieces.concat())
}

/// The words that iPXE sees, with where each command ends.
fn shape(script: &str) -> Vec<Vec<String>> {
    let is_structure = |word: &&str| matches!(*word, "||" | "&&" | ";") || word.starts_with('#');
    let line = |line: &str| {
        let words = line.split_whitespace();
        let first = words.clone().take(1).map(str::to_owned);
        first.chain(words.skip(1).filter(is_structure).map(str::to_owned)).collect()
    };
    script.lines().map(line).collect()
}

fn node_script(draft: &Draft) -> Result<String, Error> {
    let (templates, environment) = (built_in(), environment(draft));
    let site = Site { templates: &templates, environment: &environment, cluster: draft };
    script_of(&site, MAC.parse().unwrap(), "ticket").map(|script| script.text)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn kernel_options_stay_one_line_of_a_boot_script_or_are_refused(options in hostile()) {
        let expected = node_script(&small()).unwrap();
        let mut draft = small();
        change_node(&mut draft, |node| node.provisioning.kerneloptions = Some(options.clone()));
        match node_script(&draft) {
            Ok(script) => {
                prop_assert_eq!(shape(&script), shape(&expected));
                let is_expanded = options.contains("${");
                prop_assert!(!is_expanded);
            }
            Err(error) => {
                let is_refusal = matches!(error, Error::Unsafe { .. });
                prop_assert!(is_refusal, "{error}");
            }
        }
    }

    #[test]
    fn names_stay_in_their_place_of_a_menu(text in hostile()) {
        let mut draft = small();
        let mut group = (**draft.group("compute").unwrap()).clone();
        group.name = name(&text);
        draft.put(group).unwrap();
        let (templates, environment) = (built_in(), environment(&draft));
        let site = Site { templates: &templates, environment: &environment, cluster: &draft };
        let menu = site.menu().unwrap();
        prop_assert_eq!(problems(&menu), Vec::<String>::new());
        prop_assert!(!menu.contains("shell\n") || menu.matches("\nshell").count() == 1);
    }

    #[test]
    fn a_failure_is_only_read(text in hostile()) {
        let draft = small();
        let (templates, environment) = (built_in(), environment(&draft));
        let site = Site { templates: &templates, environment: &environment, cluster: &draft };
        let expected = site.failed_script(&Error::UnknownNode { node: "x".to_owned() });
        let script = site.failed_script(&Error::UnknownNode { node: text });
        prop_assert_eq!(shape(&script), shape(&expected));
        prop_assert_eq!(script.matches("${").count(), expected.matches("${").count());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_people_typed_runs_while_an_install_script_is_read(text in hostile()) {
        let mut draft = everything();
        change_image(&mut draft, |image| {
            image.files.imagefile = Some(format!("{text}.tar.zst"));
            image.files.checksum = Some(text.clone());
        });
        change_node(&mut draft, |node| {
            node.provisioning.scripts = Some(text.clone().into());
            node.provisioning.roles = Some(text.clone().into());
            node.provisioning.provision_method = Some(text.clone().into());
            for interface in &mut node.interfaces {
                interface.link = Link { options: Some(text.clone()), ..interface.link.clone() };
            }
        });
        let mut setup = (**draft.bmc_setup("bmc").unwrap()).clone();
        setup.password.clone_from(&text);
        draft.put(setup).unwrap();
        let (templates, environment) = (built_in(), environment(&draft));
        let site = Site { templates: &templates, environment: &environment, cluster: &draft };
        let script = site.install_script("node001", &text).unwrap();
        prop_assert!(bash_parses(&script), "in:\n{script}");
        let run = run_steps(&script);
        prop_assert!(!run.marked, "something ran:\n{}\nin:\n{script}", run.output);
        prop_assert_eq!(run.password, format!("{text}\n"));
    }
}

struct Steps {
    marked: bool,
    password: String,
    output: String,
}

/// Everything that the script does but fetching, with programs that do nothing.
const STEPS: &str = r#"
curl() { :; }
chroot() { :; }
sleep() { :; }
fail() { say "$@"; }
config_bmc() { printf '%s\n' "$9" > "$LUNA_TMP/password"; }
prepare
report_address
fetch_scripts
run_scripts pre
prescript
setup_bmc
download
setnet
secrets
roles
relabel
report_hardware
"#;

fn run_steps(script: &str) -> Steps {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let (functions, _) = script.split_once("\nsay \"installing ").unwrap();
    let root = format!("_SYSTEMROOT='{}'", path.join("root").display());
    let functions = functions.replace("_SYSTEMROOT='/sysroot'", &root);
    let file = path.join("steps.sh");
    fs::write(&file, format!("{functions}\n{STEPS}")).unwrap();
    let output = Command::new("timeout")
        .args(["20", "bash"])
        .arg(&file)
        .current_dir(path)
        .env("LUNA_TMP", path.join("lunatmp"))
        .env_remove("rootmnt")
        .output()
        .unwrap();
    Steps {
        marked: path.join("MARK").exists(),
        password: fs::read_to_string(path.join("lunatmp/password")).unwrap_or_default(),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
