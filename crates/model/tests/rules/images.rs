//! Images, their tags and their files.

use std::path::Path;

use perilune_model::image::{self, Image, ImageFiles, Request};
use perilune_model::provisioning::TagChoice;
use perilune_model::{Cluster, Error, Kind, Patch, Saved, node};

use crate::site::{change, cluster, fields, in_group, name, node as node_of, refused, with_node};

fn files(epoch: u32) -> ImageFiles {
    ImageFiles {
        kernelfile: Some(format!("compute-{epoch}-vmlinuz-6.1")),
        initrdfile: Some(format!("compute-{epoch}-initramfs-6.1")),
        imagefile: Some(format!("compute-{epoch}.tar.zst")),
        kernelversion: Some("6.1".to_owned()),
        checksum: Some("af1349".to_owned()),
        size: Some(1000),
        unpacked_size: Some(3000),
    }
}

fn image_of(cluster: &Cluster, name: &str) -> Image {
    Image::clone(cluster.image(name).unwrap())
}

fn packed(cluster: &Cluster, epoch: u32) -> Cluster {
    change(cluster, |draft| image::packed(draft, "compute", &files(epoch)))
}

fn save(cluster: &Cluster, request: &Request) -> Cluster {
    change(cluster, |draft| image::save(draft, &name("compute"), request))
}

fn activate(cluster: &Cluster, tag: &str) -> Cluster {
    change(cluster, |draft| image::activate_tag(draft, "compute", &Patch::Set(name(tag))))
}

#[test]
fn a_new_image_has_the_usual_modules_and_grabs_what_is_the_systems() {
    let cluster =
        change(&cluster(), |draft| image::save(draft, &name("login"), &Request::default()));
    let image = image_of(&cluster, "login");
    assert_eq!(image.kernelmodules.as_deref(), Some("ipmi_devintf, ipmi_si, ipmi_msghandler"));
    assert_eq!(image.grab_filesystems.as_deref(), Some("/, /boot, /var"));
    let exclude = image.grab_exclude.unwrap();
    assert!(exclude.starts_with("/proc/*, /sys/*, ") && exclude.ends_with("/var/tmp/*"));
    assert_eq!(exclude.split(", ").count(), 55);
}

#[test]
fn a_tree_is_in_the_images_directory_unless_it_is_elsewhere() {
    let images = Path::new("/srv/images");
    let mut image = Image { name: name("compute"), ..Image::default() };
    assert_eq!(image.tree(images), Path::new("/srv/images/compute"));
    image.path = Some("rocky9".to_owned());
    assert_eq!(image.tree(images), Path::new("/srv/images/rocky9"));
    image.path = Some("/data/rocky9".to_owned());
    assert_eq!(image.tree(images), Path::new("/data/rocky9"));
}

#[test]
fn packing_takes_new_files_into_service_and_tells_which_are_no_longer_used() {
    let cluster = packed(&cluster(), 1);
    let mut former = Vec::new();
    let cluster = change(&cluster, |draft| {
        former = image::packed(draft, "compute", &files(2))?;
        Ok(())
    });
    assert_eq!(image_of(&cluster, "compute").files, files(2));
    assert_eq!(former, ["compute-1-vmlinuz-6.1", "compute-1-initramfs-6.1", "compute-1.tar.zst"]);
}

#[test]
fn packing_the_kernel_alone_leaves_the_archive_in_service() {
    let boot = ImageFiles { imagefile: None, checksum: None, ..files(2) };
    let cluster = change(&packed(&cluster(), 1), |draft| image::packed(draft, "compute", &boot));
    let image = image_of(&cluster, "compute");
    assert_eq!(image.files.kernelfile, files(2).kernelfile);
    assert_eq!(image.files.imagefile, files(1).imagefile);
    assert_eq!(image.files.checksum, files(1).checksum);
}

#[test]
fn a_file_that_is_set_by_hand_has_no_checksum() {
    let request =
        Request { imagefile: Patch::Set("other.tar.bz2".to_owned()), ..Request::default() };
    let image = image_of(&save(&packed(&cluster(), 1), &request), "compute");
    assert_eq!(image.files.imagefile.as_deref(), Some("other.tar.bz2"));
    assert_eq!((image.files.checksum, image.files.size), (None, None));
    assert_eq!(image.files.kernelversion.as_deref(), Some("6.1"));
}

#[test]
fn a_tag_keeps_the_files_that_the_image_had_when_it_was_made() {
    let cluster = packed(&activate(&packed(&cluster(), 1), "t1"), 2);
    let image = image_of(&cluster, "compute");
    assert_eq!(image.tag_named("t1").unwrap().files, files(1));
    assert_eq!(image.files, files(2));
    let again = activate(&cluster, "t1");
    assert_eq!(image_of(&again, "compute").tag_named("t1").unwrap().files, files(1));
    assert!(image::uses_file(&again, "compute-1.tar.zst"));
}

#[test]
fn a_removed_tag_is_forgotten_by_the_image_and_by_all_who_named_it() {
    let cluster = activate(&packed(&with_node(&cluster(), "node001"), 1), "t1");
    let mut request = node::Request::default();
    request.provisioning.osimage = Patch::Set(name("compute"));
    request.provisioning.osimagetag = Patch::Set(TagChoice::Named(name("t1")));
    let cluster = change(&cluster, |draft| node::save(draft, &name("node001"), &request));
    let (nodes, groups) = image::tag_users(&cluster, "compute", "t1");
    assert_eq!((nodes.len(), groups.len()), (1, 0));

    let mut unused = Vec::new();
    let cluster = change(&packed(&cluster, 2), |draft| {
        unused = image::remove_tag(draft, "compute", "t1")?;
        Ok(())
    });
    assert_eq!(image_of(&cluster, "compute").tag, None);
    assert_eq!(node_of(&cluster, "node001").provisioning.osimagetag, None);
    assert_eq!(unused.len(), 3);
    let refused = refused(&cluster, |draft| image::remove_tag(draft, "compute", "t1"));
    assert!(matches!(refused, Error::NotFound { .. }));
}

#[test]
fn a_tag_that_shares_the_images_files_leaves_them_behind() {
    let cluster = activate(&packed(&cluster(), 1), "t1");
    change(&cluster, |draft| {
        assert_eq!(image::remove_tag(draft, "compute", "t1")?, [""; 0]);
        Ok(())
    });
}

#[test]
fn a_clone_boots_the_same_kernel_and_has_no_archive_or_tree_yet() {
    let request = Request {
        path: Patch::Set("/data/compute".to_owned()),
        comment: Patch::Set("mine".to_owned()),
        ..Request::default()
    };
    let cluster = save(&packed(&cluster(), 1), &request);
    let cluster = change(&cluster, |draft| {
        image::clone(draft, "compute", None, &name("copy"), &Request::default())
    });
    let copy = image_of(&cluster, "copy");
    assert_eq!(copy.files.kernelfile, files(1).kernelfile);
    assert_eq!((copy.files.imagefile, copy.path, copy.comment), (None, None, None));
    assert!(copy.tags.is_empty());
    let taken = refused(&cluster, |draft| {
        image::clone(draft, "compute", None, &name("copy"), &Request::default())
    });
    assert!(matches!(taken, Error::AlreadyExists { .. }));
}

#[test]
fn a_clone_of_a_tag_has_the_files_of_the_tag() {
    let cluster = packed(&activate(&packed(&cluster(), 1), "t1"), 2);
    let clone = |tag: &'static str| {
        move |draft: &mut perilune_model::Draft| {
            let tag = name(tag);
            image::clone(draft, "compute", Some(&tag), &name("copy"), &Request::default())
        }
    };
    let copy = image_of(&change(&cluster, clone("t1")), "copy");
    assert_eq!(copy.files.kernelfile, files(1).kernelfile);
    assert_eq!(fields(&refused(&cluster, clone("t9"))), ["tag"]);
}

#[test]
fn a_rename_is_followed_by_groups_and_refused_where_the_name_is_taken() {
    let cluster =
        change(&cluster(), |draft| image::save(draft, &name("login"), &Request::default()));
    let rename = |to| Request { new_name: Some(name(to)), ..Request::default() };
    let taken = refused(&cluster, |draft| image::save(draft, &name("compute"), &rename("login")));
    assert!(matches!(taken, Error::AlreadyExists { .. }));
    let mut saved = None;
    let cluster = change(&cluster, |draft| {
        saved = Some(image::save(draft, &name("compute"), &rename("rocky9"))?);
        Ok(())
    });
    assert_eq!(saved, Some(Saved::Renamed));
    assert_eq!(cluster.group("compute").unwrap().provisioning.osimage, Some(name("rocky9")));
    let unknown = refused(&cluster, |draft| image::save(draft, &name("compute"), &rename("x")));
    assert!(matches!(unknown, Error::NotFound { kind: Kind::Image, .. }));
}

#[test]
fn only_a_tree_that_is_named_after_the_image_moves_with_its_name() {
    let rename = Request { new_name: Some(name("rocky9")), ..Request::default() };
    let image = Image { name: name("compute"), ..Image::default() };
    assert!(rename.moves_tree(&image));
    assert!(!Request::default().moves_tree(&image));
    assert!(!rename.moves_tree(&Image { path: Some("/data".to_owned()), ..image.clone() }));
    let with_path = Request { path: Patch::Set("/data".to_owned()), ..rename };
    assert!(!with_path.moves_tree(&image));
}

#[test]
fn an_image_in_use_stays_and_another_goes_with_its_files() {
    let cluster = packed(&activate(&packed(&cluster(), 1), "t1"), 2);
    let in_use = refused(&cluster, |draft| image::remove(draft, "compute"));
    assert!(matches!(in_use, Error::InUse { .. }), "{in_use}");

    let cluster = change(&cluster, |draft| {
        image::clone(draft, "compute", None, &name("copy"), &Request::default())
    });
    let mut left = None;
    change(&cluster, |draft| {
        left = Some(image::remove(draft, "copy")?);
        Ok(())
    });
    let (copy, unused) = left.unwrap();
    assert_eq!(copy.name, "copy");
    assert_eq!(unused, [""; 0], "the image that it was copied from has them still");
}

#[test]
fn members_are_the_nodes_that_boot_from_the_image() {
    let cluster = with_node(&with_node(&cluster(), "node001"), "node002");
    let cluster = change(&cluster, |draft| image::save(draft, &name("login"), &Request::default()));
    let mut request = in_group("compute");
    request.provisioning.osimage = Patch::Set(name("login"));
    let cluster = change(&cluster, |draft| node::save(draft, &name("node002"), &request));
    assert_eq!(image::members(&cluster, "compute").unwrap(), [name("node001")]);
    assert_eq!(image::members(&cluster, "login").unwrap(), [name("node002")]);
    assert!(image::members(&cluster, "nothing").is_err());
}
