//! Drivers that were built apart from the kernel: where they lie does not matter.

use std::{collections::BTreeMap, fs, os::unix::fs::symlink, path::Path};

use crate::trees::{Bench, VERSION};

/// A kernel module with these records and these functions that it calls.
fn module(records: &[&str], calls: &[&str]) -> Vec<u8> {
    let information: Vec<u8> =
        records.iter().flat_map(|record| [record.as_bytes(), b"\0"].concat()).collect();
    let mut strings = vec![0];
    let mut symbols = vec![0; 24];
    for call in calls {
        let at = u32::try_from(strings.len()).unwrap();
        strings.extend([call.as_bytes(), b"\0"].concat());
        // Global, undefined.
        symbols.extend([&at.to_le_bytes()[..], &[0x10, 0, 0, 0], &[0; 16]].concat());
    }
    let names = b"\0.modinfo\0.symtab\0.strtab\0.shstrtab\0".to_vec();
    let mut data = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    data.extend([1u16, 62].map(u16::to_le_bytes).concat());
    data.extend(1u32.to_le_bytes());
    data.extend([0u64, 0, 64].map(u64::to_le_bytes).concat());
    data.extend(0u32.to_le_bytes());
    data.extend([64u16, 0, 0, 64, 5, 4].map(u16::to_le_bytes).concat());
    let mut at = 64 + 5 * 64;
    let mut headers = vec![0; 64];
    let mut contents = Vec::new();
    for (name, kind, link, entry, section) in [
        (1u32, 1u32, 0u32, 0u64, information),
        (10, 2, 3, 24, symbols),
        (18, 3, 0, 0, strings),
        (26, 3, 0, 0, names),
    ] {
        let size = section.len() as u64;
        headers.extend([name.to_le_bytes(), kind.to_le_bytes()].concat());
        headers.extend([0u64, 0, at, size].map(u64::to_le_bytes).concat());
        headers.extend([link.to_le_bytes(), 1u32.to_le_bytes()].concat());
        headers.extend([1u64, entry].map(u64::to_le_bytes).concat());
        at += size;
        contents.extend(section);
    }
    data.extend(headers);
    data.extend(contents);
    data
}

/// An image whose kernel has these modules besides those of the bench: path and what is in it. The list of modules is as depmod makes it.
struct Kernel {
    bench: Bench,
    dependencies: BTreeMap<String, String>,
}

impl Kernel {
    fn new() -> Self {
        let bench = Bench::new();
        let text = fs::read_to_string(base(&bench).join("modules.dep")).unwrap();
        let lines = text.lines().map(|line| line.split_once(':').unwrap());
        let dependencies = lines.map(|(path, needs)| (path.to_owned(), needs.to_owned())).collect();
        Self { bench, dependencies }
    }

    fn file(&self, path: &str, data: &[u8]) {
        let file = base(&self.bench).join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, data).unwrap();
    }

    fn add(&mut self, path: &str, needs: &str, data: &[u8]) {
        self.file(path, data);
        self.dependencies.insert(path.to_owned(), format!(" {needs}"));
    }

    fn alias(&self, line: &str) {
        let list = base(&self.bench).join("modules.alias");
        let text = fs::read_to_string(&list).unwrap();
        fs::write(list, format!("{text}{line}\n")).unwrap();
    }

    /// The modules in the initramfs, and the warnings about modules.
    fn packed(&self) -> (Vec<String>, String) {
        let lines = self.dependencies.iter().map(|(path, needs)| format!("{path}:{needs}\n"));
        fs::write(base(&self.bench).join("modules.dep"), lines.collect::<String>()).unwrap();
        let packed = self.bench.pack().unwrap();
        let start = format!("usr/lib/modules/{VERSION}/");
        let contents = self.bench.initramfs(&packed);
        let paths = contents.keys().filter_map(|path| path.strip_prefix(start.as_str()));
        let modules =
            paths.filter(|path| Path::new(path).extension().is_some_and(|end| end == "ko"));
        let apart =
            modules.filter(|path| !path.starts_with("kernel/")).map(str::to_owned).collect();
        let about = packed.warnings.iter().filter(|warning| warning.contains("module")).cloned();
        (apart, about.collect::<Vec<_>>().join("; "))
    }
}

fn base(bench: &Bench) -> std::path::PathBuf {
    bench.image.path().join("usr/lib/modules").join(VERSION)
}

const CARD: &str = "kernel/drivers/net/ethernet/maker/card.ko.xz";
const NEW: &str = "alias=pci:v00001234d00005678sv*sd*bc*sc*i*";

#[test]
fn a_driver_in_the_place_of_the_kernels_own_goes_in_wherever_it_lies() {
    for path in
        ["updates/card.ko", "updates/dkms/card.ko", "extra/card/a/b/c.ko.d/card.ko", "site/card.ko"]
    {
        let mut kernel = Kernel::new();
        kernel.dependencies.remove(CARD);
        kernel.add(path, "kernel/lib/card-helper.ko.gz", &module(&["name=card"], &["printk"]));
        assert_eq!(kernel.packed(), (vec![path.to_owned()], String::new()));
    }
}

#[test]
fn a_link_of_weak_updates_is_followed() {
    let mut kernel = Kernel::new();
    let other = kernel.bench.image.path().join("usr/lib/modules/6.1.0-8-test/extra/card");
    fs::create_dir_all(&other).unwrap();
    let driver = module(&["name=card"], &["printk"]);
    fs::write(other.join("card.ko"), &driver).unwrap();
    let links = base(&kernel.bench).join("weak-updates/card");
    fs::create_dir_all(&links).unwrap();
    symlink("/lib/modules/6.1.0-8-test/extra/card/card.ko", links.join("card.ko")).unwrap();
    kernel.dependencies.remove(CARD);
    kernel.dependencies.insert("weak-updates/card/card.ko".to_owned(), String::new());
    let packed = kernel.packed();
    assert_eq!(packed.1, "");
    let contents = kernel.bench.initramfs(&kernel.bench.pack().unwrap());
    let text = contents[&format!("usr/lib/modules/{VERSION}/modules.dep")].text().to_owned();
    assert!(text.contains("weak-updates/card/card.ko:\n"), "{text}");
    let found = &contents[&format!("usr/lib/modules/{VERSION}/weak-updates/card/card.ko")];
    assert!(found.data == driver);
}

#[test]
fn a_driver_that_the_kernel_never_had_is_known_by_what_it_answers_to_or_calls() {
    let wanted: [(&str, &[&str], &[&str]); 9] = [
        ("ethernet", &[NEW], &["alloc_etherdev_mqs", "printk"]),
        ("infiniband", &["alias=auxiliary:core.rdma"], &["ib_register_device"]),
        ("raid", &[NEW], &["scsi_host_alloc"]),
        ("flash", &[NEW], &["__blk_mq_alloc_disk"]),
        ("stick", &["alias=usb:v1234p5678d*dc*dsc*dp*ic*isc*ip*in*"], &["usb_stor_probe1"]),
        ("class_net", &["alias=pci:v00001234d*sv*sd*bc02sc00i*"], &["printk"]),
        ("class_disk", &["alias=pci:v00001234d*sv*sd*bc01sc07i*"], &["printk"]),
        ("like_card", &["alias=pci:v00008086d*"], &["printk"]),
        ("nothing_tells", &[NEW], &[]),
    ];
    let unwanted: [(&str, &[&str], &[&str]); 6] = [
        ("display", &["alias=pci:v000010DEd*sv*sd*bc03sc00i00*"], &[]),
        ("compute", &[NEW], &["drm_dev_alloc", "printk"]),
        (
            "radio",
            &["alias=pci:v00001234d*sv*sd*bc02sc80i*"],
            &["cfg80211_scan_done", "register_netdevice"],
        ),
        ("tunnel", &["alias=rtnl-link-tunnel"], &["register_netdevice"]),
        ("files", &["alias=fs-files"], &["register_filesystem"]),
        ("no_device", &[], &[]),
    ];
    let mut kernel = Kernel::new();
    for (name, records, calls) in wanted.iter().chain(&unwanted) {
        kernel.add(&format!("updates/dkms/{name}.ko"), "", &module(records, calls));
    }
    let (found, warnings) = kernel.packed();
    let mut expected: Vec<String> =
        wanted.map(|(name, ..)| format!("updates/dkms/{name}.ko")).to_vec();
    expected.sort();
    assert_eq!((found, warnings), (expected, String::new()));
}

#[test]
fn what_a_driver_built_apart_needs_comes_along_from_everywhere() {
    let mut kernel = Kernel::new();
    let driver = module(&[NEW], &["alloc_etherdev_mqs"]);
    kernel.add("extra/ofed/core.ko", "extra/ofed/compat.ko kernel/sound/noise.ko", &driver);
    kernel.add("extra/ofed/compat.ko", "", &module(&["name=compat"], &["printk"]));
    kernel.add("extra/ofed/later.ko", "", &module(&["name=later"], &["printk"]));
    let configuration = kernel.bench.image.path().join("etc/modprobe.d");
    fs::create_dir_all(&configuration).unwrap();
    fs::write(configuration.join("ofed.conf"), "softdep core post: later\n").unwrap();
    let (found, _) = kernel.packed();
    assert_eq!(found, ["extra/ofed/compat.ko", "extra/ofed/core.ko", "extra/ofed/later.ko"]);
    let contents = kernel.bench.initramfs(&kernel.bench.pack().unwrap());
    assert!(contents.contains_key(&format!("usr/lib/modules/{VERSION}/kernel/sound/noise.ko")));
}

#[test]
fn an_alias_of_the_list_of_modules_counts_as_one_of_the_module_does() {
    let mut kernel = Kernel::new();
    kernel.add("updates/card2.ko", "", &module(&["name=card2"], &["printk"]));
    kernel.add("updates/card3.ko", "", &module(&["name=card3"], &["printk"]));
    kernel.alias("alias pci:v00008086d* card2");
    kernel.alias("alias pci:v0000dead-* card3");
    assert_eq!(kernel.packed().0, ["updates/card2.ko"]);
}

#[test]
fn a_driver_that_is_listed_and_gone_gives_way_to_the_kernels_own() {
    let mut kernel = Kernel::new();
    kernel.dependencies.remove(CARD);
    kernel.dependencies.insert("weak-updates/card.ko".to_owned(), String::new());
    let links = base(&kernel.bench).join("weak-updates");
    fs::create_dir_all(&links).unwrap();
    symlink("/lib/modules/removed/extra/card.ko", links.join("card.ko")).unwrap();
    let (_, warnings) = kernel.packed();
    assert!(
        warnings.contains("weak-updates/card.ko is listed but not in the image, and kernel/"),
        "{warnings}"
    );
    let contents = kernel.bench.initramfs(&kernel.bench.pack().unwrap());
    let text = contents[&format!("usr/lib/modules/{VERSION}/modules.dep")].text().to_owned();
    assert!(text.contains("kernel/drivers/net/ethernet/maker/card.ko:"), "{text}");
}

#[test]
fn a_driver_that_depmod_does_not_know_is_told() {
    let kernel = Kernel::new();
    kernel.file("updates/card.ko", &module(&["name=card"], &["printk"]));
    kernel.file("extra/new.ko", &module(&[NEW], &["register_netdev"]));
    let (found, warnings) = kernel.packed();
    assert_eq!(found, [""; 0]);
    assert!(warnings.contains("does not list updates/card.ko, extra/new.ko, so"), "{warnings}");
    assert!(warnings.contains(&format!("depmod {VERSION}")), "{warnings}");
}

#[test]
fn a_damaged_driver_that_nothing_asks_for_is_told_and_left_out() {
    let mut kernel = Kernel::new();
    kernel.add("extra/broken.ko", "", b"no module");
    let (found, warnings) = kernel.packed();
    assert_eq!(found, [""; 0]);
    assert!(warnings.contains("extra/broken.ko stays out"), "{warnings}");
}
