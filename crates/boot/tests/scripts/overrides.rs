//! A site's own templates come before the built-in ones, and take effect when they change.

use std::fs;

use perilune_boot::{Directories, Error, Site, Templates};

use crate::cluster::{MAC, environment, script_of, small};

fn own(directory: &tempfile::TempDir) -> Templates {
    Templates::new(Directories { templates: Some(directory.path().to_owned()), plugins: None })
}

#[test]
fn an_edited_template_takes_effect_at_once_and_the_built_in_one_when_it_goes() {
    let directory = tempfile::tempdir().unwrap();
    let (draft, templates) = (small(), own(&directory));
    let environment = environment(&draft);
    let site = Site { templates: &templates, environment: &environment, cluster: &draft };
    let built_in = site.menu().unwrap();
    let file = directory.path().join("templ_boot_ipxe.cfg");
    fs::write(&file, "#!ipxe\necho {{ LUNA_CONTROLLER }} {{ NODES|join(',') }}\n").unwrap();
    assert_eq!(site.menu().unwrap(), "#!ipxe\necho 10.141.255.254 node001,node002\n");
    fs::write(&file, "#!ipxe\necho the second edition\n").unwrap();
    assert_eq!(site.menu().unwrap(), "#!ipxe\necho the second edition\n");
    fs::remove_file(&file).unwrap();
    assert_eq!(site.menu().unwrap(), built_in);
}

#[test]
fn directories_that_are_made_later_count_from_then_on() {
    let directory = tempfile::tempdir().unwrap();
    let site_of = |name: &str| directory.path().join("etc").join(name);
    let (own, plugins) = (site_of("templates"), site_of("plugins"));
    let directories = Directories { templates: Some(own.clone()), plugins: Some(plugins.clone()) };
    let (draft, templates) = (small(), Templates::new(directories));
    let environment = environment(&draft);
    let site = Site { templates: &templates, environment: &environment, cluster: &draft };
    let (menu, script) = (site.menu().unwrap(), site.install_script("node001", "").unwrap());
    fs::create_dir_all(&own).unwrap();
    fs::create_dir_all(plugins.join("boot/scripts")).unwrap();
    assert_eq!(site.menu().unwrap(), menu);
    assert_eq!(site.install_script("node001", "").unwrap(), script);
    fs::create_dir(plugins.join("boot/scripts/node001")).unwrap();
    fs::write(own.join("templ_boot_ipxe.cfg"), "#!ipxe\necho own\n").unwrap();
    fs::write(plugins.join("boot/scripts/node001/prescript"), "echo the node's own").unwrap();
    assert_eq!(site.menu().unwrap(), "#!ipxe\necho own\n");
    let changed = site.install_script("node001", "").unwrap();
    assert!(changed.contains("echo the node's own"), "{changed}");
    fs::remove_dir_all(directory.path().join("etc")).unwrap();
    assert_eq!(site.menu().unwrap(), menu);
    assert_eq!(site.install_script("node001", "").unwrap(), script);
}

#[test]
fn a_template_in_the_ways_of_jinja2_and_python_is_understood() {
    let directory = tempfile::tempdir().unwrap();
    let text = "{% autoescape None %}{% set ns = namespace(first=true) %}\
        {% for name in LUNA_INTERFACES %}{% set it = LUNA_INTERFACES[name] %}\
        {{ it.get('ipaddress') }}/{{ it['prefix'] }} mtu {{ it.mtu }} {{ it['vlanid'] or 'plain' }} {{ it.network.split('/')[1] }}\
        {% if not loop.last %},{% endif %}{% endfor %} {{ LUNA_SELINUX_ENABLED }} {{ LUNA_PARTSCRIPT|b64decode }}\
        {%- if LUNA_BMC is defined and LUNA_BMC.get('ipaddress') is not none %}none{% endif %}\
        [{{ NOT_THERE }}{{ NOT_THERE|join(',') }}]{% endautoescape %}";
    fs::write(directory.path().join("templ_install.cfg"), text).unwrap();
    let (draft, templates) = (small(), own(&directory));
    let environment = environment(&draft);
    let site = Site { templates: &templates, environment: &environment, cluster: &draft };
    let script = site.install_script("node001", "token").unwrap();
    assert_eq!(script, "10.141.0.1/16 mtu None plain 16 False mount -t tmpfs tmpfs /sysroot\n[]");
}

#[test]
fn a_template_that_cannot_be_read_is_reported_on_the_console_with_its_line() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("templ_nodeboot.cfg"), "#!ipxe\n{% if %}\n").unwrap();
    let (draft, templates) = (small(), own(&directory));
    let environment = environment(&draft);
    let site = Site { templates: &templates, environment: &environment, cluster: &draft };
    let error = script_of(&site, MAC.parse().unwrap(), "").unwrap_err();
    assert!(matches!(error, Error::Template { .. }));
    let script = site.failed_script(&error);
    assert!(
        script.contains("templ_nodeboot.cfg cannot be used: ") && script.contains("(line 2)"),
        "{script}"
    );
    assert_eq!(templates.broken().len(), 1);
}

#[test]
fn a_broken_template_for_failures_still_ends_in_a_script() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("templ_boot_failed.cfg"), "{{ 1 / 0 }}").unwrap();
    let (draft, templates) = (small(), own(&directory));
    let environment = environment(&draft);
    let site = Site { templates: &templates, environment: &environment, cluster: &draft };
    let script = site.failed_script(&Error::UnknownNode { node: "x".to_owned() });
    assert!(script.starts_with("#!ipxe\necho there is no node 'x'"), "{script}");
}

#[test]
fn a_template_that_never_ends_is_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let text = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}{% endfor %}{% endfor %}{% endfor %}";
    fs::write(directory.path().join("templ_boot_ipxe.cfg"), text).unwrap();
    let (draft, templates) = (small(), own(&directory));
    let environment = environment(&draft);
    let site = Site { templates: &templates, environment: &environment, cluster: &draft };
    assert!(matches!(site.menu().unwrap_err(), Error::Template { .. }));
}
