//! Scripts for iPXE: the menu, a node's way to its kernel, and what a machine is told that cannot boot.

use perilune_plan::{LONGEST_KERNEL_LINE, check_script_text, ends_script_command};

use crate::Error;
use crate::context::{ControllerContext, FailedContext, MenuContext, NodeContext};
use crate::environment::Environment;
use crate::templates::{self, Templates};

/// The addresses of boot scripts in a script, so that they are asked for where it is seen who asks. Templates of existing sites know
/// one server for files and scripts, and some write a slash more than there is to be.
pub(crate) fn at_own_port(script: &str, environment: &Environment) -> String {
    let (files, scripts) = (environment.firmware_files_url(), environment.boot_url());
    let told = format!("{files}/boot");
    let script = script.replace(&format!("{files}//boot"), &told);
    let mut parts = script.split(&told);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for rest in parts {
        // What only begins like it is a file.
        let ends =
            rest.chars().next().is_none_or(|next| next.is_whitespace() || "/?\"'".contains(next));
        text.push_str(if ends { &scripts } else { &files });
        text.push_str("/boot");
        text.push_str(rest);
    }
    text
}

/// As many other controllers are asked for a script.
const OTHERS: usize = 3;

/// A script that asks the other controllers for the next one where the one that it names does not answer: iPXE knows of no others, and would ask that
/// one for ever. Scripts of a site's own templates do so as well.
pub(crate) fn asking_others(script: String, environment: &Environment) -> String {
    let others = environment.other_boots.iter().take(OTHERS);
    let others: Vec<String> = others.map(|other| format!("{other}/boot")).collect();
    if others.is_empty() {
        return script;
    }
    let own = format!("{}/boot", environment.boot_url());
    let lines = script.lines().map(|line| {
        let asked = asked_of_others(line, &own, &others);
        asked.unwrap_or_else(|| line.to_owned()) + "\n"
    });
    lines.collect()
}

/// A line that asks for a script, with the same asked of others behind it; `None` for every other line.
fn asked_of_others(line: &str, own: &str, others: &[String]) -> Option<String> {
    let ends = [" ||", " &&", " ;"].into_iter().filter_map(|end| line.find(end));
    let (command, rest) = line.split_at_checked(ends.min().unwrap_or(line.len()))?;
    let (before, path) = command.split_once(own)?;
    before.trim_start().starts_with("chain ").then_some(())?;
    let others = others.iter().map(|other| format!(" || {before}{other}{path}"));
    Some(others.fold(command.to_owned(), |text, other| text + &other) + rest)
}

/// The boot menu.
pub(crate) fn menu(templates: &Templates, context: &MenuContext) -> Result<String, Error> {
    templates.render(templates::MENU, context)
}

/// The boot menu of few words.
pub(crate) fn short_menu(templates: &Templates, context: &MenuContext) -> Result<String, Error> {
    templates.render(templates::SHORT, context)
}

/// Goes on from the machine's own disk.
pub(crate) fn disk_script(
    templates: &Templates,
    environment: &Environment,
) -> Result<String, Error> {
    templates.render(templates::DISK, ControllerContext::for_firmware(environment))
}

/// A known node's way to its kernel.
pub(crate) fn node_script(templates: &Templates, context: &NodeContext) -> Result<String, Error> {
    templates.render(templates::NODE, checked(context)?)
}

/// A known node's way to its distribution's own installer, which proves by the ticket that this boot was served. It is put behind the
/// address of the kickstart file wherever the script names it, since the templates of existing sites do not know of tickets.
pub(crate) fn kickstart_node_script(
    templates: &Templates,
    context: &NodeContext,
    ticket: &str,
) -> Result<String, Error> {
    let script = templates.render(templates::NODE_KICKSTART, checked(context)?)?;
    if ticket.is_empty() {
        return Ok(script);
    }
    Ok(with_ticket(&script, &format!("/kickstart/install/{}", context.node_name), ticket))
}

/// Refuses a script whose kernel would not read its line to the end. Templates of a site count, too, however they write it.
pub(crate) fn check_kernel_lines(node: &str, script: &str) -> Result<(), Error> {
    for length in script.lines().filter_map(kernel_line) {
        if length > LONGEST_KERNEL_LINE {
            let lack = format!(
                "its kernel would be given {length} bytes, and reads {LONGEST_KERNEL_LINE}; shorten what the node, its group or its image adds to the kernel's command line"
            );
            return Err(Error::incomplete(node, lack));
        }
    }
    Ok(())
}

/// Commands of iPXE that give a kernel its line: the image is named first, by an address or a name, and its arguments follow.
const KERNEL_COMMANDS: [&str; 7] =
    ["boot", "chain", "imgargs", "imgexec", "imgload", "imgselect", "kernel"];
/// What iPXE adds to the line of a kernel on UEFI, beside the name of its file before it.
const ADDED_ON_UEFI: &str = " initrd=initrd.magic";

/// How long the line of a kernel becomes by a line of a script; `None` where it gives none.
fn kernel_line(line: &str) -> Option<usize> {
    let command = line.split_whitespace().next()?;
    let rest =
        KERNEL_COMMANDS.contains(&command).then(|| line.trim_start().get(command.len()..))??;
    let mut words = rest.split_whitespace().take_while(|word| !ends_script_command(word));
    let mut name = None;
    let image = loop {
        match words.next()? {
            "-n" | "--name" => name = Some(words.next()?),
            "-t" | "--timeout" => {
                words.next()?;
            }
            option if option.starts_with('-') => name = option.strip_prefix("--name=").or(name),
            image => break image,
        }
    };
    let name = name.unwrap_or_else(|| image.rsplit('/').next().unwrap_or(image));
    let arguments: usize = words.map(|word| 1 + word.len()).sum();
    (arguments > 0).then_some(name.len() + arguments + ADDED_ON_UEFI.len())
}

fn with_ticket(script: &str, path: &str, ticket: &str) -> String {
    let mut parts = script.split(path);
    let mut text = parts.next().unwrap_or_default().to_owned();
    for rest in parts {
        text.push_str(path);
        // Behind the name of another node that begins like this one there is more of it.
        let ends = rest.chars().next().is_none_or(char::is_whitespace);
        if ends {
            text.push_str("?ticket=");
            text.push_str(ticket);
        }
        text.push_str(rest);
    }
    text
}

/// A known node's way to its own disk.
pub(crate) fn disk_node_script(
    templates: &Templates,
    context: &NodeContext,
) -> Result<String, Error> {
    templates.render(templates::DISK, checked(context)?)
}

/// What a machine is told that cannot boot; after some seconds it asks again, beginning at `path`. It cannot
/// fail itself: without a usable template it is short.
pub(crate) fn failed_script(
    templates: &Templates,
    environment: &Environment,
    failure: &Error,
    path: &str,
) -> String {
    let context = FailedContext {
        controller: ControllerContext::for_firmware(environment),
        message: shown_text(&failure.to_string()),
        hints: hints(failure),
        path: path.to_owned(),
    };
    templates.render(templates::FAILED, &context).unwrap_or_else(|_| {
        let url = environment.boot_url();
        let message = &context.message;
        format!("#!ipxe\necho {message}\nsleep 10\nchain --replace --autofree {url}{path}\n")
    })
}

/// Sends a machine that is a node straight to its own script, past the menu.
pub(crate) fn direct_script(environment: &Environment, mac: &str) -> String {
    let (url, mac) = (environment.boot_url(), shown_text(mac));
    let mac = mac.replace(char::is_whitespace, "");
    format!(
        "#!ipxe\n\
         set skipifconf true\n\
         set hwdata {mac}\n\
         :again\n\
         chain --replace --autofree {url}/boot/search/mac/{mac} ||\n\
         echo Perilune did not answer, asking again in 5 seconds\n\
         sleep 5\n\
         goto again\n"
    )
}

/// Has a machine wait, and ask the same again.
pub(crate) fn busy_script(environment: &Environment, asked: &str, seconds: u64) -> String {
    let (url, asked) = (environment.boot_url(), shown_text(asked));
    // iPXE would put values of its own in the place of ${this}.
    let asked = asked.replace(|c: char| c.is_whitespace() || c == '$', "");
    format!(
        "#!ipxe\n\
         echo Perilune is asked too often from here; this machine asks again in {seconds} seconds\n\
         :again\n\
         sleep {seconds}\n\
         chain --replace --autofree {url}{asked} ||\n\
         goto again\n"
    )
}

/// Has a machine ask for an address once more, by the card that it booted from, and then for its script again.
pub(crate) fn ask_again_script(
    environment: &Environment,
    node: &str,
    mac: &str,
    again: u8,
) -> String {
    let (url, node, mac) = (environment.boot_url(), shown_text(node), shown_text(mac));
    // netX is the card that was used last. Should a program of the site not know it, any card will do.
    format!(
        "#!ipxe\n\
         echo Perilune: {node}: asking for an address once more, so that the controller sees this boot\n\
         :again\n\
         ifclose\n\
         dhcp netX || dhcp || echo No address\n\
         chain --replace --autofree {url}/boot/search/mac/{mac}?again={again} ||\n\
         echo Perilune did not answer, beginning anew in 5 seconds\n\
         sleep 5\n\
         chain --replace --autofree {url}/boot ||\n\
         goto again\n"
    )
}

fn hints(failure: &Error) -> Vec<String> {
    match failure {
        Error::UnknownMachine { mac } => vec![
            "On the controller, make it a node with:".to_owned(),
            format!("perilune node adopt {} NAME --group GROUP", shown_text(mac)),
            "It boots as soon as that is done; it need not be touched.".to_owned(),
        ],
        Error::ReservedMachine { mac, name, .. } => vec![
            "On the controller, let it become a node with:".to_owned(),
            format!("perilune reservation release '{}'", shown_text(name)),
            format!("perilune node adopt {} NAME --group GROUP", shown_text(mac)),
        ],
        Error::Waiting { mac, replaces, .. } => vec![
            "On the controller, accept that with:".to_owned(),
            format!(
                "perilune node adopt {}{}",
                shown_text(mac),
                if *replaces { " --replace" } else { "" }
            ),
            "It boots as soon as that is done; it need not be touched.".to_owned(),
        ],
        Error::Refused { .. } => {
            vec!["The menu comes again: 'Take any node' and 'Take the next node of a group' list those there are.".to_owned()]
        }
        Error::UnknownNode { .. }
        | Error::Incomplete { .. }
        | Error::Unsafe { .. }
        | Error::Template { .. } => Vec::new(),
    }
}

fn checked(context: &NodeContext) -> Result<&NodeContext, Error> {
    let node = &context.node_name;
    let values = [
        ("the name", &context.node_name),
        ("the host name", &context.node_hostname),
        ("the MAC address", &context.node_mac_address),
        ("the address", &context.node_ipaddress),
        ("the gateway", &context.network_gateway),
        ("the kernel's file", &context.osimage_kernelfile),
        ("the initramfs's file", &context.osimage_initrdfile),
        ("the group's name", &context.luna_group),
        ("the image's name", &context.luna_osimage),
        ("VERIFY_CERTIFICATE", &context.controller.verify_certificate),
        ("an argument of the kernel", &context.kernel_arguments.0),
    ];
    for (what, value) in values {
        let of_node = || format!("{what} of {}", shown_text(node));
        check_script_text(value).map_err(|reason| Error::Unsafe { what: of_node(), reason })?;
    }
    Ok(context)
}

/// A text that is only to be read, without what iPXE would act upon.
fn shown_text(text: &str) -> String {
    let text = text.replace("${", "$ {");
    let words = text.split(|c: char| c.is_whitespace() || c.is_control());
    let words = words.map(|word| word.trim_start_matches('#'));
    let words: Vec<&str> =
        words.filter(|word| !word.is_empty() && !ends_script_command(word)).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ticket_is_put_behind_the_address_of_the_nodes_own_file_alone() {
        let script = "kernel inst.ks=http://a:1/kickstart/install/node1 x\n# /kickstart/install/node10\n/kickstart/install/node1";
        assert_eq!(
            with_ticket(script, "/kickstart/install/node1", "t.i"),
            "kernel inst.ks=http://a:1/kickstart/install/node1?ticket=t.i x\n# /kickstart/install/node10\n/kickstart/install/node1?ticket=t.i"
        );
    }

    #[test]
    fn ordinary_arguments_of_a_kernel_pass() {
        check_script_text("console=ttyS0,115200 rd.shell \"a b\" net.ifnames=0 x=a;b y=&&z")
            .unwrap();
    }

    #[test]
    fn what_ipxe_would_act_upon_does_not() {
        for text in
            ["a\nshell", "a ${uuid}", "a || shell", "a && shell", "a ; shell", "a #b", "a\rb"]
        {
            assert!(check_script_text(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_kernel_reads_its_line_to_the_end_or_is_not_started() {
        // On UEFI it reads its name before its arguments, and what iPXE adds behind them.
        let most = LONGEST_KERNEL_LINE - "vmlinuz ".len() - ADDED_ON_UEFI.len();
        for line in [
            "kernel --name vmlinuz http://a:1/files/k ARGUMENTS || goto failed",
            "kernel --name=vmlinuz http://a:1/files/k ARGUMENTS && boot",
            "  kernel -n vmlinuz --timeout 9 ${base}/files/k ARGUMENTS",
            "\tkernel http://a:1/files/vmlinuz ARGUMENTS # of the site",
            "kernel tftp://a/vmlinuz inst.ks=http://a:1/x ARGUMENTS ||",
            "imgargs vmlinuz ARGUMENTS",
            "imgexec -a vmlinuz ARGUMENTS",
            "chain --autofree /boot/vmlinuz ARGUMENTS",
            "boot vmlinuz ARGUMENTS ;",
        ] {
            let with = |length: usize| {
                let before = line
                    .split(' ')
                    .filter(|word| word.starts_with("inst.ks="))
                    .map(|word| word.len() + 1)
                    .sum::<usize>();
                let arguments = format!("a{} b", "x".repeat(length - before - 3));
                format!("#!ipxe\n{}\nboot ||\n", line.replace("ARGUMENTS", &arguments))
            };
            assert!(check_kernel_lines("node001", &with(most)).is_ok(), "{line}");
            let refused = check_kernel_lines("node001", &with(most + 1)).unwrap_err().to_string();
            assert!(
                refused.starts_with("node001 cannot boot: its kernel would be given 2048 bytes"),
                "{line}: {refused}"
            );
        }
        for line in [
            "echo kernel",
            "kernelx a",
            "initrd --name initrd.img http://a:1/files/i",
            "boot",
            "kernel",
        ] {
            assert_eq!(kernel_line(&format!("{line}{}", " ".repeat(3000))), None, "{line}");
        }
    }

    #[test]
    fn a_message_is_disarmed_but_readable() {
        let text = "image ${x} is\nnot packed || shell ; # run 'perilune osimage pack x'";
        assert_eq!(
            shown_text(text),
            "image $ {x} is not packed shell run 'perilune osimage pack x'"
        );
        check_script_text(&shown_text(text)).unwrap();
    }
}
