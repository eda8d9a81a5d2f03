//! Every command is tried with every option that it has, as the definition has them: two options that share an identifier and not
//! their type are found at run time only, by whoever gives one of them.

#![expect(
    clippy::disallowed_methods,
    reason = "a test runs itself with other variables, and waits"
)]

use std::process::Command as Process;

use clap::{Arg, Command, CommandFactory as _, Parser as _};

use super::Arguments;

/// Set in the process that has every environment variable.
const AGAIN: &str = "PERILUNE_TEST_AGAIN";
/// Values of which each option takes one.
pub(super) const VALUES: [&str; 11] = [
    "1",
    "yes",
    "name",
    "10.0.0.1",
    "10.0.0.1/8",
    "10.0.0.1:80",
    "http://name:1",
    "02:00:00:00:00:01",
    "2026-11-29",
    "1h",
    "x=y",
];

/// The commands that do something, each with the words that lead to it.
fn leaves(command: &Command, path: &[String], found: &mut Vec<(Vec<String>, Command)>) {
    let path: Vec<String> = path.iter().cloned().chain([command.get_name().to_owned()]).collect();
    let inner: Vec<&Command> =
        command.get_subcommands().filter(|inner| inner.get_name() != "help").collect();
    if inner.is_empty() {
        found.push((path, command.clone()));
        return;
    }
    for inner in inner {
        leaves(inner, &path, found);
    }
}

fn is_flag(argument: &Arg) -> bool {
    !argument.get_action().takes_values()
}

/// What the argument may be given, as words.
fn words(argument: &Arg) -> Vec<Vec<String>> {
    let option = argument.get_long().map(|long| format!("--{long}")).into_iter();
    let option: Vec<String> = option.collect();
    if is_flag(argument) {
        return vec![option];
    }
    let possible: Vec<String> =
        argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect();
    let values = if possible.is_empty() { VALUES.map(str::to_owned).to_vec() } else { possible };
    let count = argument.get_num_args().map_or(1, |range| range.min_values().max(1));
    let repeated = |value: &String| vec![value.clone(); count];
    values.iter().map(|value| [option.clone(), repeated(value)].concat()).collect()
}

/// Whether the line is taken. A wrong value is one that another may replace; everything else that is wrong is told.
fn is_taken(line: &[String]) -> Result<bool, String> {
    match Arguments::try_parse_from(line) {
        Ok(arguments) => {
            arguments.options();
            Ok(true)
        }
        Err(error) => match error.kind() {
            clap::error::ErrorKind::InvalidValue | clap::error::ErrorKind::ValueValidation => {
                Ok(false)
            }
            _ => Err(format!("{}: {error}", line.join(" "))),
        },
    }
}

/// The first way to give an argument that makes a whole line with these words.
fn given(line: &[String], argument: &Arg) -> Vec<String> {
    let mut refusals = Vec::new();
    for words in words(argument) {
        match is_taken(&[line, &words].concat()) {
            Ok(true) => return words,
            Ok(false) => {}
            // Other arguments may be missing yet.
            Err(refusal) if refusal.contains("required") => return words,
            Err(refusal) => refusals.push(refusal),
        }
    }
    panic!(
        "nothing that is tried is right for {:?} of {}: {refusals:?}",
        argument.get_id(),
        line.join(" ")
    )
}

/// Gives each option of each command, and says how many were given.
fn walk() -> usize {
    let mut command = Arguments::command();
    command.build();
    let mut found = Vec::new();
    leaves(&command, &[], &mut found);
    let mut count = 0;
    for (path, leaf) in found {
        let arguments = || {
            leaf.get_arguments()
                .filter(|argument| !matches!(argument.get_id().as_str(), "help" | "version"))
        };
        let mut line = path.clone();
        for required in arguments().filter(|argument| argument.is_required_set()) {
            let words = given(&line, required);
            line.extend(words);
        }
        for group in leaf.get_groups().filter(|group| group.is_required_set()) {
            let first =
                arguments().find(|argument| group.get_args().any(|id| id == argument.get_id()));
            line.extend(first.map(|argument| given(&line, argument)).unwrap_or_default());
        }
        // What is required unless an option is given stands in most lines, and not beside that option.
        let shortest = line.clone();
        for optional in arguments().filter(|argument| argument.get_long().is_none()) {
            if is_taken(&line) != Ok(true) && !optional.is_required_set() {
                let words = given(&line, optional);
                line.extend(words);
            }
        }
        assert_eq!(is_taken(&line), Ok(true), "{line:?}");
        for argument in arguments().filter(|argument| argument.get_long().is_some()) {
            if line.contains(&format!("--{}", argument.get_long().unwrap_or_default())) {
                continue;
            }
            let goes_with = |before: &[String]| {
                let mut lines = words(argument).into_iter();
                lines.any(|words| is_taken(&[before, &words].concat()) == Ok(true))
            };
            // Some options need another one beside them.
            let others = || arguments().filter(|other| other.get_long().is_some()).flat_map(words);
            let beside = || others().any(|other| goes_with(&[&line[..], &other].concat()));
            let is_given = goes_with(&line) || goes_with(&shortest) || beside();
            assert!(is_given, "{} {:?}", line.join(" "), argument.get_id());
            count += 1;
        }
    }
    count
}

#[test]
fn every_command_takes_every_option_that_it_has() {
    assert!(walk() > 700, "{}", walk());
}

#[test]
fn every_command_takes_every_option_with_every_environment_variable_set() {
    if std::env::var_os(AGAIN).is_some() {
        walk();
        return;
    }
    let mut command = Arguments::command();
    command.build();
    let mut found = Vec::new();
    leaves(&command, &[], &mut found);
    let variables: std::collections::BTreeSet<_> = found
        .iter()
        .flat_map(|(_, leaf)| leaf.get_arguments())
        .chain(command.get_arguments())
        .filter_map(|argument| argument.get_env().map(ToOwned::to_owned))
        .collect();
    assert!(variables.iter().any(|name| name == "PERILUNE_CERTIFICATE"), "{variables:?}");
    let output = Process::new(std::env::current_exe().unwrap())
        .args([
            "arguments::walk::every_command_takes_every_option_with_every_environment_variable_set",
            "--exact",
        ])
        .env(AGAIN, "1")
        .envs(variables.iter().map(|name| (name, "1")))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[test]
fn a_field_with_the_name_of_an_option_of_the_connection_is_the_field() {
    let line =
        ["perilune", "--certificate", "tls.crt", "bmcsetup", "add", "a", "--certificate", "any"];
    let arguments = Arguments::try_parse_from(line).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(arguments.options().certificate.as_deref(), Some("tls.crt".as_ref()));
    let line = [
        "perilune",
        "bmcsetup",
        "change",
        "a",
        "--certificate",
        "pin",
        "--connection-certificate",
        "x.crt",
    ];
    let arguments = Arguments::try_parse_from(line).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(arguments.options().certificate.as_deref(), Some("x.crt".as_ref()));
    let matches = Arguments::command().get_matches_from(line);
    let change =
        matches.subcommand().and_then(|(_, setup)| setup.subcommand()).map(|(_, change)| change);
    let field = change.and_then(|change| change.get_one::<String>("field.certificate"));
    assert_eq!(field.map(String::as_str), Some("pin"));
}
