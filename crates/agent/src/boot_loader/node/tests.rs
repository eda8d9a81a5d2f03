//! The program runs as a node runs it, below a directory.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;

const FIRST: &str = "6.1.0-9-amd64";
const SECOND: &str = "6.1.0-10-amd64";

struct Node {
    directory: tempfile::TempDir,
    menu: Menu,
}

impl Node {
    /// As the agent leaves it: the kernel of the image, and what the controller served.
    fn new(menu: Menu) -> Self {
        let node = Self { directory: tempfile::tempdir().unwrap(), menu };
        node.write(&format!("lib/modules/{FIRST}/kernel/x.ko"), "");
        node.write(&format!("boot/vmlinuz-{FIRST}"), "first");
        let place = node.settings().place;
        node.write(&format!("{place}/vmlinuz"), "first");
        node.write(&format!("{place}/initramfs"), "of the controller");
        if menu == Menu::Grub {
            node.write("boot/grub/here", "");
        }
        node.configure(&[FIRST]);
        node
    }

    fn settings(&self) -> Settings {
        let text = |text: &str| text.to_owned();
        let (place, path, menu_place) = match self.menu {
            Menu::Grub => ("/boot/perilune", "/perilune", "/boot/grub/grub.cfg"),
            Menu::SystemdBoot => ("/boot/efi/perilune", "/perilune", "/boot/efi/loader"),
        };
        Settings {
            menu: self.menu,
            title: text("Perilune: it's"),
            options: text("root=UUID=c rw a=$b"),
            place: text(place),
            path: text(path),
            filesystem: text("a-b"),
            menu_place: text(menu_place),
            mount: None,
        }
    }

    fn configure(&self, kernels: &[&str]) {
        let kernels: Vec<String> = kernels.iter().map(|&kernel| kernel.to_owned()).collect();
        self.write(SETTINGS, &self.settings().render(&kernels, FIRST));
    }

    fn place(&self, path: &str) -> PathBuf {
        self.directory.path().join(path.trim_start_matches('/'))
    }

    fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.place(path).parent().unwrap()).unwrap();
        fs::write(self.place(path), text).unwrap();
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.place(path)).unwrap_or_default()
    }

    /// What the packages of a kernel and of an initramfs leave.
    fn install(&self, version: &str) {
        self.write(&format!("lib/modules/{version}/kernel/x.ko"), "");
        self.write(&format!("boot/vmlinuz-{version}"), version);
        self.write(&format!("boot/initrd.img-{version}"), &format!("initramfs of {version}"));
    }

    fn remove(&self, version: &str) {
        fs::remove_dir_all(self.place(&format!("lib/modules/{version}/kernel"))).unwrap();
        for file in ["vmlinuz-", "initrd.img-"] {
            fs::remove_file(self.place(&format!("boot/{file}{version}"))).ok();
        }
    }

    fn run(&self, words: &[&str]) -> (bool, String) {
        let program = self.place("kernels");
        fs::write(&program, TEXT).unwrap();
        let output = tool::command("sh")
            .arg(program)
            .args(words)
            .env("PERILUNE_ROOT", self.directory.path())
            .output()
            .unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8(said).unwrap())
    }

    fn update(&self) -> String {
        let (succeeded, said) = self.run(&[]);
        assert!(succeeded, "{said}");
        said
    }

    /// The identities of GRUB's menu; each with kernel and initramfs. GRUB itself reads it, where it is here.
    fn grub(&self) -> Vec<String> {
        let text = self.read("boot/grub/grub.cfg");
        let mode = fs::metadata(self.place("boot/grub/grub.cfg")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        if tool::exists("grub-script-check") {
            tool::run("grub-script-check", [self.place("boot/grub/grub.cfg")]).unwrap();
        }
        let named = |key: &str| {
            let lines = text.lines().filter_map(|line| line.trim().strip_prefix(key));
            lines.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect::<Vec<_>>()
        };
        let identities: Vec<String> = text
            .lines()
            .filter_map(|line| Some(line.split_once("--id ")?.1.trim_end_matches(" {").to_owned()))
            .collect();
        for key in ["linux ", "initrd "] {
            let files = named(key);
            assert_eq!(files.len(), identities.len(), "{text}");
            assert!(
                files
                    .iter()
                    .all(|file| self.place("boot").join(file.trim_start_matches('/')).exists()),
                "{text}"
            );
        }
        identities
    }
}

#[test]
fn the_first_menu_is_the_controllers_kernel() {
    let node = Node::new(Menu::Grub);
    node.update();
    assert_eq!(node.grub(), ["perilune"]);
    let expected = "# Made by /usr/lib/perilune/kernels.\nset timeout=0\nset default=perilune\n\
        menuentry 'Perilune: it'\\''s'', 6.1.0-9-amd64' --unrestricted --id perilune {\n    \
        search --no-floppy --fs-uuid --set=root a-b\n    linux /perilune/vmlinuz root=UUID=c rw 'a=$b'\n    \
        initrd /perilune/initramfs\n}\n";
    assert_eq!(node.read("boot/grub/grub.cfg"), expected);
}

#[test]
fn a_second_kernel_comes_first_and_stays_when_the_first_goes() {
    let node = Node::new(Menu::Grub);
    node.update();
    node.install(SECOND);
    node.update();
    assert_eq!(node.grub(), ["perilune-6.1.0-10-amd64", "perilune"]);
    let text = node.read("boot/grub/grub.cfg");
    assert!(
        text.contains("set default=perilune-6.1.0-10-amd64\nset fallback=perilune\n"),
        "{text}"
    );
    assert_eq!(node.read("boot/perilune/6.1.0-10-amd64/initramfs"), "initramfs of 6.1.0-10-amd64");
    let menu = node.run(&["menu"]).1;
    assert_eq!(text, format!("# Made by /usr/lib/perilune/kernels.\n{menu}"), "for update-grub");

    node.remove(FIRST);
    node.update();
    assert_eq!(node.grub(), ["perilune-6.1.0-10-amd64"]);
    assert!(!node.place("boot/perilune/vmlinuz").exists());
    // The next one, and the former as what starts when it does not.
    node.install("6.1.0-11-amd64");
    node.update();
    assert_eq!(node.grub(), ["perilune-6.1.0-11-amd64", "perilune-6.1.0-10-amd64"]);
}

#[test]
fn a_kernel_without_an_initramfs_is_not_started() {
    let node = Node::new(Menu::Grub);
    node.install(SECOND);
    fs::remove_file(node.place(&format!("boot/initrd.img-{SECOND}"))).unwrap();
    let said = node.update();
    assert!(said.contains("6.1.0-10-amd64 has no initramfs and is not started"), "{said}");
    assert_eq!(node.grub(), ["perilune"]);
    // The last kernel without one: what there is stays.
    node.remove(FIRST);
    let before = node.read("boot/grub/grub.cfg");
    let (succeeded, said) = node.run(&[]);
    assert!(!succeeded && said.contains("stays as it is"), "{said}");
    assert_eq!(node.read("boot/grub/grub.cfg"), before);
    assert!(node.place("boot/perilune/vmlinuz").exists());
}

#[test]
fn what_the_image_brought_along_is_started_in_the_controllers_way() {
    let node = Node::new(Menu::Grub);
    node.install(SECOND);
    node.write(&format!("boot/initrd.img-{FIRST}"), "of the image");
    node.configure(&[FIRST, SECOND]);
    node.update();
    assert_eq!(node.grub(), ["perilune"], "the controller chose the older kernel");
    node.remove(FIRST);
    node.update();
    assert_eq!(node.grub(), ["perilune-6.1.0-10-amd64"]);
}

#[test]
fn another_build_of_the_same_version_is_started_with_its_own_initramfs() {
    let node = Node::new(Menu::Grub);
    node.install(FIRST);
    node.update();
    assert_eq!(node.grub(), ["perilune-6.1.0-9-amd64", "perilune"]);
    node.write(&format!("boot/vmlinuz-{FIRST}"), "first");
    node.update();
    assert_eq!(node.grub(), ["perilune"]);
    assert!(!node.place("boot/perilune/6.1.0-9-amd64").exists());
}

#[test]
fn a_version_is_gone_before_its_files_are() {
    let node = Node::new(Menu::Grub);
    node.install(SECOND);
    node.update();
    assert!(node.run(&["remove", FIRST]).0);
    assert_eq!(node.grub(), ["perilune-6.1.0-10-amd64"]);
}

#[test]
fn without_room_the_former_menu_counts() {
    let node = Node::new(Menu::Grub);
    node.update();
    node.install(SECOND);
    // In the way of the directory.
    node.write(&format!("boot/perilune/{SECOND}"), "");
    let (succeeded, said) = node.run(&[]);
    assert!(!succeeded && said.contains("is not started"), "{said}");
    assert_eq!(node.grub(), ["perilune"]);
}

#[test]
fn entries_of_systemd_boot_are_made_and_removed() {
    let node = Node::new(Menu::SystemdBoot);
    node.write("boot/efi/loader/entries/other.conf", "the site's own");
    node.update();
    let loader = |node: &Node| node.read("boot/efi/loader/loader.conf");
    assert_eq!(loader(&node), "default perilune.conf\ntimeout 0\nconsole-mode keep\n");
    let entry = "title Perilune: it's\nversion 6.1.0-9-amd64\nlinux /perilune/vmlinuz\ninitrd /perilune/initramfs\noptions root=UUID=c rw a=$b\n";
    assert_eq!(node.read("boot/efi/loader/entries/perilune.conf"), entry);
    node.install(SECOND);
    node.update();
    assert!(loader(&node).starts_with("default perilune-6.1.0-10-amd64.conf\ntimeout 3\n"));
    let entry = node.read("boot/efi/loader/entries/perilune-6.1.0-10-amd64.conf");
    assert!(entry.contains("\nlinux /perilune/6.1.0-10-amd64/vmlinuz\n"), "{entry}");
    node.remove(FIRST);
    node.update();
    let entries = fs::read_dir(node.place("boot/efi/loader/entries")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["other.conf", "perilune-6.1.0-10-amd64.conf"]);
    assert_eq!(node.run(&["menu"]), (true, String::new()), "GRUB's scripts get nothing");
}

#[test]
fn hooks_are_of_the_images_own_kind() {
    let directory = tempfile::tempdir().unwrap();
    let tree = Tree::new(directory.path());
    let places = |menu| hooks(&tree, menu).iter().map(|hook| hook.place).collect::<Vec<_>>();
    assert!(places(Menu::Grub).is_empty());
    tree.write("usr/bin/kernel-install", "", 0o755).unwrap();
    tree.make_directory("etc/grub.d").unwrap();
    assert_eq!(
        places(Menu::Grub),
        ["etc/kernel/install.d/95-perilune.install", "etc/grub.d/09_perilune"]
    );
    tree.write("usr/bin/dpkg", "", 0o755).unwrap();
    assert_eq!(places(Menu::SystemdBoot).len(), 4);
    assert_eq!(places(Menu::Grub).last(), Some(&"etc/default/grub.d/50-perilune.cfg"));
}

#[test]
fn options_mean_nothing_to_grub() {
    assert_eq!(grub_words("quiet a=$b;c  tty=S0,1"), "quiet 'a=$b;c' tty=S0,1");
    assert_eq!(quoted("it's"), r"'it'\''s'");
}
