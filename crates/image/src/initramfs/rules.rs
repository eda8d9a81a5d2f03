//! Which kernel modules a machine needs to reach its network and its disks.

/// Directories below `kernel/` (or below another top directory, for modules that were built apart), whose modules
/// go in with everything they depend on.
const DIRECTORIES: [&str; 48] = [
    "drivers/acpi/nfit/",
    "drivers/ata/",
    "drivers/block/",
    "drivers/char/hw_random/",
    "drivers/char/ipmi/",
    "drivers/char/tpm/",
    "drivers/dca/",
    "drivers/firmware/",
    "drivers/hv/",
    "drivers/infiniband/",
    "drivers/md/",
    "drivers/message/fusion/",
    "drivers/mmc/core/",
    "drivers/mmc/host/",
    "drivers/net/bonding/",
    "drivers/net/ethernet/",
    "drivers/net/hyperv/",
    "drivers/net/mdio/",
    "drivers/net/pcs/",
    "drivers/net/phy/",
    "drivers/net/team/",
    "drivers/net/usb/",
    "drivers/net/vmxnet3/",
    "drivers/nvdimm/",
    "drivers/nvme/host/",
    "drivers/nvme/common/",
    "drivers/pci/controller/",
    "drivers/scsi/",
    "drivers/ufs/",
    "drivers/usb/common/",
    "drivers/usb/core/",
    "drivers/usb/host/",
    "drivers/usb/storage/",
    "drivers/virtio/",
    "drivers/xen/",
    "fs/btrfs/",
    "fs/efivarfs/",
    "fs/erofs/",
    "fs/ext4/",
    "fs/fat/",
    "fs/fuse/",
    "fs/isofs/",
    "fs/nls/",
    "fs/overlayfs/",
    "fs/squashfs/",
    "fs/xfs/",
    "net/8021q/",
    "net/packet/",
];

/// Single modules beside those.
const MODULES: [&str; 31] = [
    "atkbd",
    "bridge",
    "crc32c",
    "crc32c_generic",
    "crc32c_intel",
    "crct10dif_pclmul",
    "drbg",
    "dummy",
    "efi_pstore",
    "hid",
    "hid_generic",
    "i8042",
    "ipv6",
    "libcrc32c",
    "loop",
    "macvlan",
    "net_failover",
    "nfnetlink",
    "pci_hyperv",
    "psmouse",
    "qemu_fw_cfg",
    "tun",
    "usbhid",
    "veth",
    "virtio_console",
    "virtio_net",
    "vxlan",
    "xen_netfront",
    "xhci_pci_renesas",
    "zram",
    "hyperv_keyboard",
];

/// Large, and no use to a server that installs itself.
const NEVER: [&str; 3] =
    ["drivers/block/drbd/", "drivers/infiniband/ulp/rtrs/", "drivers/scsi/pcmcia/"];

/// Whether the module at `path` (relative to the kernel's directory) goes in.
pub(crate) fn wants(path: &str, name: &str) -> bool {
    if NEVER.iter().any(|start| path.contains(start)) {
        return false;
    }
    let wanted = MODULES.contains(&name);
    wanted || DIRECTORIES.iter().any(|directory| lies_in(path, directory))
}

/// Whether `directory` stands behind the top directory and, for modules that were built apart, their package.
fn lies_in(path: &str, directory: &str) -> bool {
    let Some((_top, rest)) = path.split_once('/') else { return false };
    rest.starts_with(directory) || rest.contains(&format!("/{directory}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_reaches_network_and_disk_goes_in() {
        assert!(wants("kernel/drivers/net/ethernet/intel/ice/ice.ko.xz", "ice"));
        assert!(wants("kernel/drivers/nvme/host/nvme.ko", "nvme"));
        assert!(wants(
            "extra/mlnx-ofa_kernel/drivers/net/ethernet/mellanox/mlx5/core/mlx5_core.ko",
            "mlx5_core"
        ));
        assert!(wants("kernel/drivers/net/virtio_net.ko.zst", "virtio_net"));
    }

    #[test]
    fn what_does_not_stays_out() {
        assert!(!wants("kernel/sound/core/snd.ko", "snd"));
        assert!(!wants("kernel/drivers/gpu/drm/amd/amdgpu/amdgpu.ko", "amdgpu"));
        assert!(!wants("kernel/drivers/rtc/rtc-pcf8563.ko", "rtc_pcf8563"));
        assert!(!wants("kernel/drivers/net/wireless/ath/ath.ko", "ath"));
        assert!(!wants("extra/nvidia.ko", "nvidia"));
    }
}
