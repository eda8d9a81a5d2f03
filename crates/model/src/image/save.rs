//! Creating, changing, cloning and removing images.

use std::sync::Arc;

use super::pack::all_files;
use super::{Image, ImageFiles, Request, TEXTS, tag};
use crate::label::Labels;
use crate::{Draft, Error, Kind, Name, Saved, text};

/// What a grab takes from a node, unless the image says otherwise.
const DEFAULT_GRAB_FILESYSTEMS: &str = "/, /boot, /var";
/// Modules of a new image's initramfs.
const DEFAULT_KERNELMODULES: &str = "ipmi_devintf, ipmi_si, ipmi_msghandler";
/// What a grab leaves out, unless the image says otherwise: what belongs to one machine, and what is not the system's.
pub const DEFAULT_GRAB_EXCLUDE: &str = concat!(
    "/proc/*, /sys/*, /dev/*, /tmp/*, /run/*, /opt/*, /var/log/*, /trinity/shared/*, /boot/*, /cm/*, /data/*, /fhgfs/*, ",
    "/local/*, /scratch/*, /media/*, lost+found/, /tftpboot/*, /etc/aliases.db, /etc/blkid/*, /etc/exports, /etc/fstab, ",
    "/etc/HOSTNAME, /etc/hostname, /etc/hosts, /etc/lvm/cache/*, /etc/lvm/archive/*, /etc/lvm/backup/*, /etc/mtab, ",
    "/etc/ntp.conf, /etc/ntp/*, /etc/chrony.conf, /etc/chrony.keys, /etc/chrony/*, /etc/openvpn/*, /etc/postfix/main.cf, ",
    "/etc/resolv.conf, /etc/sysconfig/network, /etc/sysconfig/network-scripts/*, /etc/NetworkManager/system-connections/*, ",
    "/etc/network/interfaces.d/*, /etc/udev/rules.d/*-persistent-*, /var/cache/*, /var/lib/dhclient/*, /var/lib/dhcpcd/*, ",
    "/var/lib/ldap/*, /var/lib/logrotate.status, /var/lib/mlocate/*, /var/lib/nfs/*, /var/lib/ntp/*, /var/lib/chrony/*, ",
    "/var/lib/rpm/__db.*, /var/lib/sss/*, /var/lib/systemd/random-seed, /var/spool/*, /var/tmp/*",
);

impl Request {
    /// Whether the image's directory in the images' directory must move, because it has the image's name and that changes.
    pub fn moves_tree(&self, image: &Image) -> bool {
        let is_renamed = self.new_name.as_ref().is_some_and(|new_name| *new_name != image.name);
        is_renamed && image.path.is_none() && self.path.value().is_none()
    }

    fn apply(&self, image: &mut Image) -> Result<(), Error> {
        let labels = image.labels.apply(&self.labels);
        labels.map_err(|violation| Error::Invalid(vec![violation]))?;
        self.write(image);
        self.apply_files(&mut image.files);
        Ok(())
    }

    /// Writes what the image says of itself in texts.
    pub fn write(&self, image: &mut Image) {
        text::apply(TEXTS, self, image);
    }

    /// What is known about a file is not true of another that takes its place.
    fn apply_files(&self, files: &mut ImageFiles) {
        let former = files.clone();
        self.kernelfile.apply(&mut files.kernelfile);
        self.initrdfile.apply(&mut files.initrdfile);
        self.imagefile.apply(&mut files.imagefile);
        if files.kernelfile != former.kernelfile {
            files.kernelversion = None;
        }
        if files.imagefile != former.imagefile {
            *files =
                ImageFiles { checksum: None, size: None, unpacked_size: None, ..files.clone() };
        }
    }
}

/// Changes an image; makes it where there is none of this name.
pub fn save(draft: &mut Draft, name: &Name, request: &Request) -> Result<Saved, Error> {
    let existing = draft.images().get(name).map(|image| Image::clone(image));
    match (existing, &request.new_name) {
        (Some(mut image), new_name) => {
            let renamed = new_name.as_ref().is_some_and(|new_name| new_name != name);
            if let Some(new_name) = new_name {
                image.name = new_name.clone();
            }
            request.apply(&mut image)?;
            tag::activate(&mut image, &request.tag);
            draft.rename(image, name.as_str())?;
            Ok(if renamed { Saved::Renamed } else { Saved::Updated })
        }
        (None, Some(_)) => Err(Error::NotFound { kind: Kind::Image, name: name.to_string() }),
        (None, None) => {
            let mut image = Image {
                name: name.clone(),
                grab_filesystems: Some(DEFAULT_GRAB_FILESYSTEMS.to_owned()),
                grab_exclude: Some(DEFAULT_GRAB_EXCLUDE.to_owned()),
                kernelmodules: Some(DEFAULT_KERNELMODULES.to_owned()),
                ..Image::default()
            };
            request.apply(&mut image)?;
            draft.put(image)?;
            Ok(Saved::Created)
        }
    }
}

/// Makes an image like another, or like a tag of it, then changes it as asked. It has no archive and no tree of its own yet.
pub fn clone(
    draft: &mut Draft,
    source: &str,
    source_tag: Option<&Name>,
    new_name: &Name,
    request: &Request,
) -> Result<(), Error> {
    let source = Arc::clone(draft.image(source)?);
    if draft.images().contains_key(new_name) {
        return Err(Error::AlreadyExists { kind: Kind::Image, name: new_name.to_string() });
    }
    let missing = |tag: &Name| {
        Error::invalid("tag", format!("the OS image '{}' has no tag '{tag}'", source.name))
    };
    let tag = source_tag.map(|tag| source.tag_named(tag.as_str()).ok_or_else(|| missing(tag)));
    let tag = tag.transpose()?;
    let source = tag.map_or_else(|| Image::clone(&source), |tag| source.at(tag));
    let mut image = Image {
        name: new_name.clone(),
        path: None,
        files: ImageFiles {
            kernelfile: source.files.kernelfile.clone(),
            initrdfile: source.files.initrdfile.clone(),
            kernelversion: source.files.kernelversion.clone(),
            ..ImageFiles::default()
        },
        comment: None,
        // What is said of one image need not be true of its copy.
        labels: Labels::default(),
        tag: None,
        tags: Vec::new(),
        ..source
    };
    request.apply(&mut image)?;
    draft.put(image)
}

/// Removes an image that no node and no group names. Answers the names of the files that nothing uses any more, and the image.
pub fn remove(draft: &mut Draft, name: &str) -> Result<(Arc<Image>, Vec<String>), Error> {
    let image = Arc::clone(draft.image(name)?);
    draft.remove(Kind::Image, name)?;
    let unused = |file: &String| !super::uses_file(draft, file);
    let files = all_files(&image).into_iter().filter(unused).collect();
    Ok((image, files))
}
