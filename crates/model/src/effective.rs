//! What a node is in effect: its own settings, else its group's and those of the groups above, else the image's, the BMC setup's or the cluster's, else defaults.

use crate::group::Group;
use crate::image::{Image, ImageFiles, Tag};
use crate::interface::{BOOT_INTERFACE, Interface};
use crate::node::Node;
use crate::provisioning::{
    BootOrder, DEFAULT_FALLBACK, DEFAULT_METHOD, Hosts, InstallPolicy, IpxeKernel, ProvisionMethod,
    Provisioning, UnmanagedUsers, Wipe,
};
use crate::{Cluster, Name, Words};

/// The image file that stands for an installation by kickstart.
pub const KICKSTART: &str = "kickstart";

/// Where an effective value comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The node itself.
    Node,
    /// Its group.
    Group,
    /// Its image.
    Image,
    /// Its BMC setup.
    BmcSetup,
    /// A network that it is in.
    Network,
    /// The cluster.
    Cluster,
    /// Nobody said anything.
    Default,
}

impl Source {
    /// The word of the API.
    pub fn word(self) -> &'static str {
        match self {
            Self::Node => "node",
            Self::Group => "group",
            Self::Image => "osimage",
            Self::BmcSetup => "bmcsetup",
            Self::Network => "network",
            Self::Cluster => "cluster",
            Self::Default => "default",
        }
    }
}

/// A value and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sourced<T> {
    /// The value.
    pub value: T,
    /// Where it comes from.
    pub source: Source,
}

/// What a node, or a group by itself, is in effect. Borrowed from the cluster.
#[derive(Debug, Clone, Copy)]
pub struct Effective<'a> {
    cluster: &'a Cluster,
    own: Option<&'a Provisioning>,
    group: Option<&'a Group>,
    image: Option<&'a Image>,
}

impl<'a> Effective<'a> {
    /// What this node is in effect.
    pub fn of_node(cluster: &'a Cluster, node: &'a Node) -> Self {
        let group = cluster.groups().get(&node.group).map(|group| &**group);
        Self::new(cluster, Some(&node.provisioning), group)
    }

    /// What this group gives to nodes that say nothing themselves.
    pub fn of_group(cluster: &'a Cluster, group: &'a Group) -> Self {
        Self::new(cluster, None, Some(group))
    }

    fn new(cluster: &'a Cluster, own: Option<&'a Provisioning>, group: Option<&'a Group>) -> Self {
        let mut effective = Self { cluster, own, group, image: None };
        effective.image = effective
            .osimage()
            .value
            .and_then(|name| cluster.images().get(name))
            .map(|image| &**image);
        effective
    }

    /// The nearest that says something, and how far that is: 0 is the node itself, 1 its group, 2 the group above that.
    fn nearest<T>(&self, field: impl Fn(&'a Provisioning) -> Option<T>) -> Option<(usize, T)> {
        if let Some(value) = self.own.and_then(&field) {
            return Some((0, value));
        }
        let group = self.group?;
        if let Some(value) = field(&group.provisioning) {
            return Some((1, value));
        }
        // Every field of every node of a list comes by here, and few groups have one above them.
        group.parent.as_ref()?;
        let above = self.cluster.lineage(group).enumerate().skip(1);
        let mut values = above.filter_map(|(steps, group)| {
            field(&group.provisioning).map(|value| (steps + 1, value))
        });
        values.next()
    }

    /// What the node says, else its group, else those above that.
    pub fn said<T>(&self, field: impl Fn(&'a Provisioning) -> Option<T>) -> Option<T> {
        self.nearest(field).map(|(_, value)| value)
    }

    /// The group above the node's own, or above the group by itself, that says this; nothing where somebody nearer does, or nobody.
    pub fn ancestor(&self, says: impl Fn(&Provisioning) -> bool) -> Option<&'a Name> {
        let group = self.group?;
        group.parent.as_ref()?;
        let (distance, ()) = self.nearest(|said| says(said).then_some(()))?;
        let mut groups = self.cluster.lineage(group);
        groups.nth(distance.checked_sub(1)?).filter(|_| distance > 1).map(|group| &group.name)
    }

    fn inherited<T>(&self, field: impl Fn(&'a Provisioning) -> Option<T>) -> Sourced<Option<T>> {
        match self.nearest(field) {
            Some((0, value)) => Sourced { value: Some(value), source: Source::Node },
            Some((_, value)) => Sourced { value: Some(value), source: Source::Group },
            None => Sourced { value: None, source: Source::Default },
        }
    }

    fn or_default<T>(
        &self,
        field: impl Fn(&'a Provisioning) -> Option<T>,
        default: T,
    ) -> Sourced<T> {
        let Sourced { value, source } = self.inherited(field);
        Sourced { value: value.unwrap_or(default), source }
    }

    /// The image's name.
    pub fn osimage(&self) -> Sourced<Option<&'a Name>> {
        self.inherited(|settings| settings.osimage.as_ref())
    }

    /// The image.
    pub fn image(&self) -> Option<&'a Image> {
        self.image
    }

    /// The tag's name; nothing where the image's files of now are booted. A node with an image of its own does not have the tag
    /// of its group, even one of the same image, nor a group with one that of a group above. A tag that the image does not have counts
    /// as none, and hides what is further away.
    pub fn osimagetag(&self) -> Sourced<Option<&'a Name>> {
        let image =
            self.nearest(|settings| settings.osimage.as_ref()).map(|(distance, _)| distance);
        let choice = self.nearest(|settings| settings.osimagetag.as_ref());
        if let Some(image) = image
            && choice.is_none_or(|(distance, _)| distance > image)
        {
            let source = match (image, choice) {
                (0, _) => Source::Node,
                (_, Some(_)) => Source::Group,
                (_, None) => Source::Default,
            };
            return Sourced { value: None, source };
        }
        let exists =
            |tag: &&Name| self.image.is_some_and(|image| image.tag_named(tag.as_str()).is_some());
        let source = match choice {
            Some((0, _)) => Source::Node,
            Some(_) => Source::Group,
            None => Source::Default,
        };
        let named = choice.and_then(|(_, choice)| choice.named());
        Sourced { value: named.filter(exists), source }
    }

    fn tag(&self) -> Option<&'a Tag> {
        self.image?.tag_named(self.osimagetag().value?.as_str())
    }

    /// The files to boot and install: those of the tag, else the image's of now.
    pub fn files(&self) -> Option<&'a ImageFiles> {
        Some(self.tag().map_or(&self.image?.files, |tag| &tag.files))
    }

    /// The BMC setup's name.
    pub fn bmcsetup(&self) -> Sourced<Option<&'a Name>> {
        self.inherited(|settings| settings.bmcsetup.as_ref())
    }

    /// Whether the BMC is set up at each install.
    pub fn setupbmc(&self) -> Sourced<bool> {
        self.or_default(|settings| settings.setupbmc, false)
    }

    /// Whether the node is installed at each boot.
    pub fn netboot(&self) -> Sourced<bool> {
        self.or_default(|settings| settings.netboot, false)
    }

    /// Whether the boot menu is shown.
    pub fn bootmenu(&self) -> Sourced<bool> {
        self.or_default(|settings| settings.bootmenu, false)
    }

    /// Roles, comma-separated.
    pub fn roles(&self) -> Sourced<Option<&'a Words>> {
        self.inherited(|settings| settings.roles.as_ref())
    }

    /// Named scripts.
    pub fn scripts(&self) -> Sourced<Option<&'a Words>> {
        self.inherited(|settings| settings.scripts.as_ref())
    }

    /// The interface that the node boots from.
    pub fn provision_interface(&self) -> Sourced<&'a str> {
        self.or_default(|settings| settings.provision_interface.as_deref(), BOOT_INTERFACE)
    }

    /// The boot program of UEFI machines.
    pub fn ipxe_kernel(&self) -> Sourced<IpxeKernel> {
        self.or_default(|settings| settings.ipxe_kernel, IpxeKernel::Default)
    }

    /// Script before the disks.
    pub fn prescript(&self) -> Sourced<Option<&'a str>> {
        self.inherited(|settings| settings.prescript.as_deref())
    }

    /// Script for the disks.
    pub fn partscript(&self) -> Sourced<Option<&'a str>> {
        self.inherited(|settings| settings.partscript.as_deref())
    }

    /// Script at the end.
    pub fn postscript(&self) -> Sourced<Option<&'a str>> {
        self.inherited(|settings| settings.postscript.as_deref())
    }

    /// Declarative disk layout.
    pub fn disklayout(&self) -> Sourced<Option<&'a str>> {
        self.inherited(|settings| settings.disklayout.as_deref())
    }

    /// What of the image the node gets, as clients keep it.
    pub fn osimage_filter(&self) -> Sourced<Option<&'a str>> {
        self.inherited(|settings| settings.osimage_filter.as_deref())
    }

    /// When the node is installed.
    pub fn install_policy(&self) -> Sourced<Option<InstallPolicy>> {
        let own = self.inherited(|settings| settings.install_policy);
        match (own.value, self.cluster.settings().install_policy) {
            (None, Some(policy)) => Sourced { value: Some(policy), source: Source::Cluster },
            _ => own,
        }
    }

    /// What may be wiped of disks that nobody named.
    pub fn wipe(&self) -> Sourced<Wipe> {
        self.or_default(|settings| settings.wipe, Wipe::No)
    }

    /// What firmware starts first.
    pub fn boot_order(&self) -> Sourced<Option<BootOrder>> {
        self.inherited(|settings| settings.boot_order)
    }

    /// The most that a root in memory may take.
    pub fn memory_limit(&self) -> Sourced<Option<&'a str>> {
        self.inherited(|settings| settings.memory_limit.as_deref())
    }

    /// How long each script of an installation may take.
    pub fn script_timeout(&self) -> Sourced<Option<&'a str>> {
        self.inherited(|settings| settings.script_timeout.as_deref())
    }

    /// Whom `/etc/hosts` names.
    pub fn hosts(&self) -> Sourced<Hosts> {
        self.or_default(|settings| settings.hosts, Hosts::Itself)
    }

    /// The time zone.
    pub fn timezone(&self) -> Sourced<Option<&'a str>> {
        self.inherited(|settings| settings.timezone.as_deref())
    }

    /// The locale.
    pub fn locale(&self) -> Sourced<Option<&'a str>> {
        self.inherited(|settings| settings.locale.as_deref())
    }

    /// Its own routes, else its group's; those of networks are not among them.
    pub fn routes(&self) -> Sourced<Option<&'a [Name]>> {
        self.inherited(|settings| Some(settings.routes.as_slice()).filter(|own| !own.is_empty()))
    }

    /// What happens to unmanaged users of the BMC.
    pub fn unmanaged_bmc_users(&self) -> Sourced<Option<UnmanagedUsers>> {
        let own = self.inherited(|settings| settings.unmanaged_bmc_users);
        let setup = self.bmcsetup().value.and_then(|name| self.cluster.bmc_setups().get(name));
        match (own.value, setup.and_then(|setup| setup.unmanaged_bmc_users)) {
            (None, Some(users)) => Sourced { value: Some(users), source: Source::BmcSetup },
            _ => own,
        }
    }

    /// Whether the image is installed by kickstart, whatever else is said.
    pub fn is_kickstart(&self) -> bool {
        self.files().is_some_and(|files| files.imagefile.as_deref() == Some(KICKSTART))
    }

    /// How the image is fetched.
    pub fn provision_method(&self) -> Sourced<Option<&'a ProvisionMethod>> {
        if self.is_kickstart() {
            return Sourced { value: Some(&ProvisionMethod::Kickstart), source: Source::Image };
        }
        let own = self.inherited(|settings| settings.provision_method.as_ref());
        or_cluster(own, self.cluster.settings().provision_method.as_ref(), &DEFAULT_METHOD)
    }

    /// How it is fetched when that fails.
    pub fn provision_fallback(&self) -> Sourced<Option<&'a ProvisionMethod>> {
        if self.is_kickstart() {
            return Sourced { value: None, source: Source::Image };
        }
        let own = self.inherited(|settings| settings.provision_fallback.as_ref());
        or_cluster(own, self.cluster.settings().provision_fallback.as_ref(), &DEFAULT_FALLBACK)
    }

    /// Arguments of the kernel as they are shown: of a group its own, else the image's; of a node its own, then the image's before the
    /// group's, as existing clients know it.
    pub fn kernel_arguments(&self) -> Sourced<Option<&'a str>> {
        let own = self.inherited(Provisioning::kernel_arguments);
        let of_image =
            self.image.and_then(Image::kernel_arguments).filter(|arguments| !arguments.is_empty());
        let is_group = self.own.is_none();
        match (own.source, of_image) {
            (Source::Node, _) | (_, None) => own,
            (Source::Group, _) if is_group => own,
            (_, Some(arguments)) => Sourced { value: Some(arguments), source: Source::Image },
        }
    }

    /// Arguments of the kernel at boot: the node's, else the group's, else those that the tag keeps, else the image's.
    pub fn boot_kernel_arguments(&self) -> Option<&'a str> {
        let said = |arguments: &&str| !arguments.is_empty();
        let of_image = || match self.tag() {
            // A tag that keeps none was made when the image had none.
            Some(tag) => tag.kernel_arguments(),
            None => self.image.and_then(Image::kernel_arguments),
        };
        let own = self.inherited(Provisioning::kernel_arguments).value.filter(said);
        own.or_else(|| of_image().filter(said))
    }

    /// Whether the node itself says anything that it could inherit.
    pub fn is_overridden(&self) -> bool {
        self.own.is_some_and(|own| *own != Provisioning::default())
    }
}

fn or_cluster<'a>(
    own: Sourced<Option<&'a ProvisionMethod>>,
    cluster: Option<&'a ProvisionMethod>,
    default: &'a ProvisionMethod,
) -> Sourced<Option<&'a ProvisionMethod>> {
    match (own.value, cluster) {
        (Some(_), _) => own,
        (None, Some(value)) => Sourced { value: Some(value), source: Source::Cluster },
        (None, None) => Sourced { value: Some(default), source: Source::Default },
    }
}

impl Node {
    /// The domains in which it looks for names: the cluster's, else those of its networks, the one that it boots from first.
    pub fn domain_search(&self, cluster: &Cluster) -> Vec<String> {
        let of_cluster = &cluster.settings().domain_search;
        if !of_cluster.is_empty() {
            return of_cluster.clone();
        }
        let interfaces = self.provision_interface(cluster).into_iter().chain(&self.interfaces);
        let mut domains: Vec<String> = Vec::new();
        for interface in interfaces {
            let network = interface.network.as_ref().map(ToString::to_string);
            domains.extend(network.filter(|network| !domains.contains(network)));
        }
        domains
    }

    /// The interface that the node boots from, as it is in effect.
    pub fn provision_interface<'a>(&'a self, cluster: &'a Cluster) -> Option<&'a Interface> {
        self.interface(Effective::of_node(cluster, self).provision_interface().value)
    }

    /// The node's host name with its domain: that of the network it boots from.
    pub fn hostname(&self, cluster: &Cluster) -> String {
        let interface = self.provision_interface(cluster);
        match interface.and_then(|interface| interface.network.as_ref()) {
            Some(network) => [self.name.as_str(), network.as_str()].join("."),
            None => self.name.to_string(),
        }
    }
}
