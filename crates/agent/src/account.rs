//! Users and groups by the image's own tables: what the machine that installs knows is not what the image will.

use anyhow::Context as _;

use crate::tree::Tree;

/// The numbers of `user` or `user:group`. Numbers are taken as they are; without a group it is root's.
pub fn owner(tree: &Tree, owner: &str) -> anyhow::Result<(u32, u32)> {
    let (user, group) =
        owner.split_once(':').map_or((owner, None), |(user, group)| (user, Some(group)));
    let user_id = number(tree, "etc/passwd", user)?;
    let user_id = user_id.with_context(|| format!("the image has no user '{user}'"))?;
    let Some(group) = group else { return Ok((user_id, 0)) };
    let group_id = number(tree, "etc/group", group)?;
    Ok((user_id, group_id.with_context(|| format!("the image has no group '{group}'"))?))
}

fn number(tree: &Tree, table: &str, name: &str) -> anyhow::Result<Option<u32>> {
    if let Ok(number) = name.parse() {
        return Ok(Some(number));
    }
    let text = tree.read(table)?;
    let line = text.lines().find(|line| line.split(':').next() == Some(name));
    Ok(line.and_then(|line| line.split(':').nth(2)).and_then(|number| number.parse().ok()))
}

#[cfg(test)]
mod tests {
    use super::owner;
    use crate::tree::Tree;

    #[test]
    fn names_are_those_of_the_image() {
        let directory = tempfile::tempdir().unwrap();
        let tree = Tree::new(directory.path());
        tree.write(
            "etc/passwd",
            "root:x:0:0::/root:/bin/sh\nmunge:x:996:995::/:/sbin/nologin\nodd:x:y:z\n",
            0o644,
        )
        .unwrap();
        tree.write("etc/group", "root:x:0:\nmunge:x:995:\n", 0o644).unwrap();
        for (text, numbers) in [
            ("munge", (996, 0)),
            ("munge:munge", (996, 995)),
            ("12:34", (12, 34)),
            ("root:munge", (0, 995)),
        ] {
            assert_eq!(owner(&tree, text).unwrap(), numbers, "{text}");
        }
        for text in ["nobody", "munge:wheel", "odd", "", ":", "x:y:z"] {
            assert!(owner(&tree, text).is_err(), "{text}");
        }
        assert!(owner(&tree, "nobody").unwrap_err().to_string().contains("no user 'nobody'"));
    }
}
