//! Examples of commands whose definition has none, and what every page of help has in common.

use clap::{Arg, Command};

/// By the words that lead to the command.
const EXAMPLES: &[(&str, &str)] = &[
    ("bmc forget", "Example:\n  perilune bmc forget node017"),
    ("bmcsetup clone", "Example:\n  perilune bmcsetup clone compute compute2"),
    ("bmcsetup list", "Examples:\n  perilune bmcsetup list\n  perilune bmcsetup list -o json"),
    ("bmcsetup remove", "Example:\n  perilune bmcsetup remove compute"),
    ("bmcsetup rename", "Example:\n  perilune bmcsetup rename compute compute2"),
    ("bmcsetup show", "Example:\n  perilune bmcsetup show compute"),
    ("claim list", "Example:\n  perilune claim list"),
    ("claim rule add", "Example:\n  perilune claim rule add row3 --group compute --count 32"),
    ("claim rule list", "Example:\n  perilune claim rule list"),
    ("claim rule remove", "Example:\n  perilune claim rule remove row3"),
    ("cloud clone", "Example:\n  perilune cloud clone aws aws2"),
    ("cloud list", "Examples:\n  perilune cloud list\n  perilune cloud list -o json"),
    ("cloud remove", "Example:\n  perilune cloud remove aws"),
    ("cloud rename", "Example:\n  perilune cloud rename aws aws2"),
    ("cloud show", "Example:\n  perilune cloud show aws"),
    ("cluster show", "Example:\n  perilune cluster show"),
    ("dns list", "Example:\n  perilune dns list cluster"),
    ("dns remove", "Example:\n  perilune dns remove cluster www"),
    ("dns set", "Example:\n  perilune dns set cluster www 10.141.200.3"),
    ("group interface list", "Example:\n  perilune group interface list compute"),
    ("group interface remove", "Example:\n  perilune group interface remove compute ib0"),
    ("group interface rename", "Example:\n  perilune group interface rename compute eth1 ib0"),
    ("group list", "Examples:\n  perilune group list\n  perilune group list -o json"),
    ("group members", "Example:\n  perilune group members compute"),
    ("group remove", "Example:\n  perilune group remove compute"),
    ("group rename", "Example:\n  perilune group rename compute compute2"),
    (
        "history list",
        "Examples:\n  perilune history list --user ann --since 7d\n  perilune history list --object node/node001",
    ),
    ("history show", "Example:\n  perilune history show 42 --fold"),
    ("identify off", "Example:\n  perilune identify off 'rack:r1'"),
    ("identify on", "Example:\n  perilune identify on 'rack:r1'"),
    ("key rotate", "Example:\n  perilune key rotate"),
    ("key show", "Example:\n  perilune key show"),
    ("logout", "Example:\n  perilune logout"),
    ("network list", "Examples:\n  perilune network list\n  perilune network list -o json"),
    ("network members", "Example:\n  perilune network members ipmi"),
    ("network next-free", "Example:\n  perilune network next-free ipmi"),
    ("network rename", "Example:\n  perilune network rename ipmi ipmi2"),
    ("node interface list", "Example:\n  perilune node interface list 'rack:r1'"),
    (
        "node interface remove",
        "Example:\n  perilune node interface remove 'node[001-128]' ib0 --yes",
    ),
    (
        "node interface rename",
        "Example:\n  perilune node interface rename 'node[001-128]' eth1 ib0",
    ),
    ("node unknown", "Example:\n  perilune node unknown"),
    ("osgroup list", "Examples:\n  perilune osgroup list\n  perilune osgroup list -o json"),
    ("osgroup remove", "Example:\n  perilune osgroup remove physics"),
    ("osgroup show", "Example:\n  perilune osgroup show physics"),
    ("osimage cancel", "Example:\n  perilune osimage cancel debian12"),
    ("osimage follow", "Example:\n  perilune osimage follow 4711"),
    ("osimage list", "Examples:\n  perilune osimage list\n  perilune osimage list -o json"),
    ("osimage members", "Example:\n  perilune osimage members debian12"),
    ("osimage rename", "Example:\n  perilune osimage rename debian12 debian122"),
    ("osimage show", "Example:\n  perilune osimage show debian12"),
    ("osimage tag list", "Example:\n  perilune osimage tag list debian12"),
    ("osimage tag remove", "Example:\n  perilune osimage tag remove debian12 v1"),
    ("osuser list", "Examples:\n  perilune osuser list\n  perilune osuser list -o json"),
    ("osuser remove", "Example:\n  perilune osuser remove alice"),
    ("osuser show", "Example:\n  perilune osuser show alice"),
    ("otherdev clone", "Example:\n  perilune otherdev clone pdu1 pdu12"),
    ("otherdev list", "Examples:\n  perilune otherdev list\n  perilune otherdev list -o json"),
    ("otherdev remove", "Example:\n  perilune otherdev remove pdu1"),
    ("otherdev rename", "Example:\n  perilune otherdev rename pdu1 pdu12"),
    ("otherdev show", "Example:\n  perilune otherdev show pdu1"),
    ("rack add", "Example:\n  perilune rack add r1 --size 42 --room a"),
    ("rack change", "Example:\n  perilune rack change r1 --label row=3"),
    ("rack inventory", "Example:\n  perilune rack inventory --unplaced"),
    ("rack list", "Examples:\n  perilune rack list\n  perilune rack list -o json"),
    ("rack place", "Example:\n  perilune rack place r1 'node[001-032]' --position 5"),
    ("rack remove", "Example:\n  perilune rack remove r1"),
    ("rack rename", "Example:\n  perilune rack rename r1 r12"),
    ("rack show", "Example:\n  perilune rack show r1"),
    ("rack take-out", "Example:\n  perilune rack take-out 'node[001-032]'"),
    (
        "reservation list",
        "Examples:\n  perilune reservation list\n  perilune reservation list -o json",
    ),
    ("reservation release", "Example:\n  perilune reservation release node001"),
    ("reservation show", "Example:\n  perilune reservation show node001"),
    ("route list", "Examples:\n  perilune route list\n  perilune route list -o json"),
    ("route remove", "Example:\n  perilune route remove backbone"),
    ("route rename", "Example:\n  perilune route rename backbone campus"),
    ("route show", "Example:\n  perilune route show backbone"),
    ("secret list", "Examples:\n  perilune secret list\n  perilune secret list node node001"),
    ("secret remove", "Example:\n  perilune secret remove node node001 key"),
    (
        "secret set",
        "Example:\n  perilune secret set cluster munge --content @munge.key --path /etc/munge/munge.key --owner munge:munge --mode 400",
    ),
    (
        "secret show",
        "Examples:\n  perilune secret show node node001\n  perilune secret show cluster munge --reveal > munge.key",
    ),
    ("sel clear", "Example:\n  perilune sel clear node001"),
    ("sel list", "Example:\n  perilune sel list 'node[001-128]'"),
    ("sensors", "Example:\n  perilune sensors 'rack:r1' -o json"),
    ("status", "Examples:\n  perilune status\n  perilune status -o json"),
    ("switch clone", "Example:\n  perilune switch clone sw1 sw12"),
    ("switch list", "Examples:\n  perilune switch list\n  perilune switch list -o json"),
    ("switch remove", "Example:\n  perilune switch remove sw1"),
    ("switch rename", "Example:\n  perilune switch rename sw1 sw12"),
    ("switch show", "Example:\n  perilune switch show sw1"),
    (
        "user add",
        "Examples:\n  perilune user add ann --role operator\n  perilune user add ann --role operator --password @ann.password",
    ),
    ("user change", "Example:\n  perilune user change ann --role viewer"),
    ("user list", "Examples:\n  perilune user list\n  perilune user list -o json"),
    ("user password", "Example:\n  perilune user password ann"),
    ("user remove", "Example:\n  perilune user remove ann"),
    ("user rename", "Example:\n  perilune user rename ann ann2"),
    ("user revoke", "Example:\n  perilune user revoke ann"),
    ("user show", "Example:\n  perilune user show ann"),
    ("user token add", "Example:\n  perilune user token add monitoring --role viewer"),
    ("user token list", "Example:\n  perilune user token list"),
    ("user token remove", "Example:\n  perilune user token remove monitoring"),
];

/// Where the options of all commands are told.
const ELSEWHERE: &str =
    "Options of every command, such as --output, --dry-run and --url: perilune --help";

/// The command line with an example on every page, and the options of all commands on the first page alone: elsewhere they would push the
/// examples off the screen.
pub(super) fn complete(command: Command) -> Command {
    let common = common(&command);
    let command = with_negative_numbers(command);
    let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    let command = command
        .mut_args(|argument| if argument.is_global_set() { argument.hide(true) } else { argument });
    let command = command.after_help(format!("{common}\n\n{after}"));
    command.mut_subcommands(|inner| with_examples(inner, ""))
}

/// `--position -1` is a wrong number, and no option that nobody knows.
fn with_negative_numbers(command: Command) -> Command {
    let numbers = |argument: Arg| {
        let is_value = argument.get_long().is_some() && argument.get_action().takes_values();
        if is_value { argument.allow_negative_numbers(true) } else { argument }
    };
    command.mut_args(numbers).mut_subcommands(with_negative_numbers)
}

fn with_examples(command: Command, path: &str) -> Command {
    let path = format!("{path} {}", command.get_name());
    let path = path.trim();
    if command.has_subcommands() {
        return command.mut_subcommands(|inner| with_examples(inner, path));
    }
    let own = command.get_after_help().map(ToString::to_string);
    let known = EXAMPLES.iter().find(|(name, _)| *name == path);
    let example = own.or_else(|| known.map(|(_, example)| (*example).to_owned()));
    let example = example.map(|example| format!("{example}\n\n")).unwrap_or_default();
    command.after_help(format!("{example}{ELSEWHERE}"))
}

/// The options of every command, as a page of help shows options.
fn common(command: &Command) -> String {
    let options = command.get_arguments().filter(|argument| argument.is_global_set());
    let rows: Vec<(String, String)> =
        options.map(|argument| (written(argument), about(argument))).collect();
    let width = rows.iter().map(|(written, _)| written.len()).max().unwrap_or_default();
    let rows = rows.iter().map(|(written, help)| {
        let help = wrapped(&help.replace('`', ""), COLUMNS - width, width + 4);
        format!("  {written:width$}  {help}")
    });
    let rows: Vec<String> = rows.collect();
    format!("Options of every command:\n{}", rows.join("\n"))
}

/// As wide are the lines of help of terminals that are not wider.
const COLUMNS: usize = 76;

/// The text in lines that are no longer, all but the first moved in.
fn wrapped(text: &str, longest: usize, indent: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.len() + 1 + word.len() <= longest => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join(&format!("\n{}", " ".repeat(indent)))
}

/// What an option is for, what it takes, and the variable that says it as well.
fn about(argument: &Arg) -> String {
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let values = argument.get_possible_values();
    let values: Vec<&str> = values.iter().map(clap::builder::PossibleValue::get_name).collect();
    let is_listed = argument.get_action().takes_values() && !values.is_empty();
    let values = if is_listed { format!(" ({})", values.join(", ")) } else { String::new() };
    let variable = argument.get_env().and_then(std::ffi::OsStr::to_str);
    let variable = variable.map(|name| format!(" [{name}]")).unwrap_or_default();
    format!("{help}{values}{variable}")
}

/// `-o, --output <FORMAT>`
fn written(argument: &Arg) -> String {
    let short =
        argument.get_short().map_or_else(|| "    ".to_owned(), |short| format!("-{short}, "));
    let long = argument.get_long().unwrap_or_default();
    let names = argument.get_value_names().filter(|_| argument.get_action().takes_values());
    let value = names.and_then(|names| names.first());
    let value = value.map(|value| format!(" <{value}>")).unwrap_or_default();
    format!("{short}--{long}{value}")
}

#[cfg(test)]
mod tests {
    use clap::Command;

    use super::EXAMPLES;

    fn pages(command: &Command, path: &str, found: &mut Vec<(String, String)>) {
        let path = format!("{path} {}", command.get_name());
        let inner: Vec<&Command> = command.get_subcommands().collect();
        if inner.is_empty() && !command.is_hide_set() {
            found.push((path.trim().to_owned(), command.clone().render_long_help().to_string()));
        }
        for inner in inner {
            pages(inner, &path, found);
        }
    }

    #[test]
    fn every_page_of_help_has_an_example() {
        let mut found = Vec::new();
        for inner in crate::arguments::command().get_subcommands() {
            pages(inner, "", &mut found);
        }
        assert!(found.len() > 100, "{}", found.len());
        for (path, page) in &found {
            assert!(page.contains("Example") || page.contains("perilune "), "{path}:\n{page}");
        }
        for (path, _) in EXAMPLES {
            assert!(found.iter().any(|(known, _)| known == path), "there is no command {path}");
        }
    }

    #[test]
    fn every_example_is_a_command_of_ours() {
        for (path, text) in EXAMPLES {
            for line in text.lines().filter(|line| line.starts_with("  ")) {
                let line = line.split(" > ").next().unwrap_or_default();
                let words = shlex::split(line).unwrap();
                assert!(line.contains(path), "{path}: {line}");
                if let Err(error) = crate::arguments::read(&words) {
                    panic!("{line}: {error}");
                }
            }
        }
    }
}
