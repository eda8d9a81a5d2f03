//! Changes of what a node or a group says about provisioning.

use crate::provisioning::{
    BootOrder, Hosts, InstallPolicy, IpxeKernel, Provisioning, TagChoice, UnmanagedUsers, Wipe,
};
use crate::{Cluster, Name, Patch, Violation, Words};

/// What a client asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The image; given, it resets the tag.
    pub osimage: Patch<Name>,
    /// A tag of the image, or the image's files of now.
    pub osimagetag: Patch<TagChoice>,
    /// The BMC setup.
    pub bmcsetup: Patch<Name>,
    /// Whether the BMC is set up.
    pub setupbmc: Patch<bool>,
    /// Whether the node boots from the network.
    pub netboot: Patch<bool>,
    /// Whether the boot menu is shown.
    pub bootmenu: Patch<bool>,
    /// Roles.
    pub roles: Patch<Words>,
    /// Named scripts.
    pub scripts: Patch<Words>,
    /// The interface that the node boots from.
    pub provision_interface: Patch<String>,
    /// How the image is fetched.
    pub provision_method: Patch<String>,
    /// How, when that fails.
    pub provision_fallback: Patch<String>,
    /// Options of the kernel.
    pub kerneloptions: Patch<String>,
    /// The boot program of UEFI machines.
    pub ipxe_kernel: Patch<IpxeKernel>,
    /// Unmanaged users of the BMC.
    pub unmanaged_bmc_users: Patch<UnmanagedUsers>,
    /// Script before the disks.
    pub prescript: Patch<String>,
    /// Script for the disks.
    pub partscript: Patch<String>,
    /// Script at the end.
    pub postscript: Patch<String>,
    /// Declarative disk layout.
    pub disklayout: Patch<String>,
    /// What of the image the node gets.
    pub osimage_filter: Patch<String>,
    /// When the node is installed.
    pub install_policy: Patch<InstallPolicy>,
    /// What may be wiped of disks that nobody named.
    pub wipe: Patch<Wipe>,
    /// What firmware starts first.
    pub boot_order: Patch<BootOrder>,
    /// The most that a root in memory may take.
    pub memory_limit: Patch<String>,
    /// How long each script may take.
    pub script_timeout: Patch<String>,
    /// Whom `/etc/hosts` names.
    pub hosts: Patch<Hosts>,
    /// The time zone.
    pub timezone: Patch<String>,
    /// The locale.
    pub locale: Patch<String>,
    /// Static routes, all of them.
    pub routes: Patch<Vec<Name>>,
}

impl Request {
    /// Changes the settings; tells what cannot be. `inherited` is the image of whoever says nothing about it.
    pub(crate) fn apply(
        &self,
        cluster: &Cluster,
        provisioning: &mut Provisioning,
        inherited: Option<&Name>,
    ) -> Vec<Violation> {
        self.write(provisioning);
        self.unknown_tag(cluster, provisioning, inherited).into_iter().collect()
    }

    /// The settings of whoever said this and nothing else. The tag is looked for with the image.
    pub fn alone(&self) -> Provisioning {
        let mut provisioning = Provisioning::default();
        self.write(&mut provisioning);
        provisioning
    }

    /// The request of a copy that is given an image: the tag stays that of the source, which beside another image is none. `image`
    /// is what the source boots, `inherited` what the copy boots when it names none.
    pub(crate) fn of_copy(
        &self,
        source: &Provisioning,
        image: Option<&Name>,
        inherited: Option<&Name>,
    ) -> Self {
        let mut request = self.clone();
        let says_something = source.osimagetag.is_some() || source.osimage.is_some();
        if self.osimage.is_given() && !self.osimagetag.is_given() && says_something {
            let stays = self.osimage.value().or(inherited) == image;
            let tag = source.osimagetag.clone().filter(|_| stays);
            request.osimagetag = Patch::Set(tag.unwrap_or(TagChoice::Current));
        }
        request
    }

    fn write(&self, provisioning: &mut Provisioning) {
        if self.osimage.is_given() {
            provisioning.osimagetag = None;
        }
        self.osimage.apply(&mut provisioning.osimage);
        self.osimagetag.apply(&mut provisioning.osimagetag);
        // Beside an image, nothing said is the same; one way to say it makes equal nodes equal.
        if provisioning.osimage.is_some() && provisioning.osimagetag == Some(TagChoice::Current) {
            provisioning.osimagetag = None;
        }
        self.bmcsetup.apply(&mut provisioning.bmcsetup);
        self.setupbmc.apply(&mut provisioning.setupbmc);
        self.netboot.apply(&mut provisioning.netboot);
        self.bootmenu.apply(&mut provisioning.bootmenu);
        self.roles.apply(&mut provisioning.roles);
        self.scripts.apply(&mut provisioning.scripts);
        self.provision_interface.apply(&mut provisioning.provision_interface);
        self.provision_method.apply(&mut provisioning.provision_method);
        self.provision_fallback.apply(&mut provisioning.provision_fallback);
        self.kerneloptions.apply(&mut provisioning.kerneloptions);
        self.ipxe_kernel.apply(&mut provisioning.ipxe_kernel);
        self.unmanaged_bmc_users.apply(&mut provisioning.unmanaged_bmc_users);
        self.prescript.apply(&mut provisioning.prescript);
        self.partscript.apply(&mut provisioning.partscript);
        self.postscript.apply(&mut provisioning.postscript);
        self.disklayout.apply(&mut provisioning.disklayout);
        self.osimage_filter.apply(&mut provisioning.osimage_filter);
        self.install_policy.apply(&mut provisioning.install_policy);
        self.wipe.apply(&mut provisioning.wipe);
        self.boot_order.apply(&mut provisioning.boot_order);
        self.memory_limit.apply(&mut provisioning.memory_limit);
        self.script_timeout.apply(&mut provisioning.script_timeout);
        self.hosts.apply(&mut provisioning.hosts);
        self.timezone.apply(&mut provisioning.timezone);
        self.locale.apply(&mut provisioning.locale);
        self.routes.apply_or(&mut provisioning.routes, Vec::new());
    }

    fn unknown_tag(
        &self,
        cluster: &Cluster,
        provisioning: &Provisioning,
        inherited: Option<&Name>,
    ) -> Option<Violation> {
        let tag = self.osimagetag.value()?.named()?;
        let refuse = |reason| Some(Violation { field: "osimagetag".to_owned(), reason });
        let Some(image) = provisioning.osimage.as_ref().or(inherited) else {
            return refuse("a tag needs an osimage; give both".to_owned());
        };
        let known = cluster
            .images()
            .get(image)
            .is_some_and(|image| image.tag_named(tag.as_str()).is_some());
        if known { None } else { refuse(format!("the OS image '{image}' has no tag '{tag}'")) }
    }
}
