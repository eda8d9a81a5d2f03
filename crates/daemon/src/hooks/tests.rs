use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use perilune_model::Draft;
use perilune_model::group::Group;
use perilune_model::node::Node;

use super::*;

mod chaos;

fn hooks(plugins: &Path) -> Hooks {
    let python = PathBuf::from("/usr/bin/python3");
    Hooks::new(Runner::new(Some(plugins.to_owned()), python, None))
}

fn write(plugins: &Path, file: &str, text: &str) {
    let path = plugins.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, text).unwrap();
    let mode = if path.extension().is_some() { 0o644 } else { 0o755 };
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

fn cluster(nodes: &[(&str, &str)]) -> Arc<Cluster> {
    let mut draft = Draft::new(&Cluster::default());
    for group in ["compute", "login"] {
        draft.put(Group { name: Name::trusted(group), ..Group::default() }).unwrap();
    }
    for (name, group) in nodes {
        let (name, group) = (Name::trusted(name), Name::trusted(group));
        draft.put(Node { name, group, ..Node::default() }).unwrap();
    }
    Arc::new(draft.finish().0)
}

/// What a hook was told, one JSON for each call, but for a line that is still written.
fn calls(file: &Path) -> Vec<Value> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn until(mut condition: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if condition() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("it does not happen");
}

#[test]
fn hooks_are_told_what_differs_and_nothing_when_nothing_does() {
    let before = cluster(&[("n1", "compute"), ("n2", "compute")]);
    let now = cluster(&[("n2", "login"), ("n3", "compute")]);
    assert_eq!(told::changes(Hook::ConfigNode, &before, &before), None);
    assert_eq!(told::changes(Hook::ConfigDns, &before, &before), None);
    let told = told::changes(Hook::ConfigNode, &before, &now).unwrap();
    assert_eq!(
        told["changes"],
        json!([
            { "action": "delete", "name": "n1", "group": "compute" },
            { "action": "update", "name": "n2", "group": "login" },
            { "action": "create", "name": "n3", "group": "compute" },
        ])
    );
    assert_eq!(
        told["nodes"],
        json!([{ "name": "n2", "group": "login" }, { "name": "n3", "group": "compute" }])
    );
    let told = told::changes(Hook::ConfigGroup, &before, &now).unwrap();
    assert_eq!(told["changes"].as_array().unwrap().len(), 2, "nodes joined and left both");
    assert_eq!(told["groups"][1], json!({ "name": "login", "nodes": ["n2"] }));
}

#[tokio::test]
async fn a_thousand_changes_are_one_call_and_failures_are_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let (plugins, log) = (directory.path().join("plugins"), directory.path().join("log"));
    // It fails the first time.
    let script = format!(
        "#!/bin/sh\ncat >> {0}\n[ $(wc -l < {0}) -gt 1 ] || {{ echo no >&2; exit 1; }}\n",
        log.display()
    );
    write(&plugins, "hooks/config/node", &script);
    let hooks = hooks(&plugins);
    let (publisher, published) = watch::channel(cluster(&[]));
    let stop = CancellationToken::new();
    let (told, held) = (cluster(&[]), VecDeque::new());
    let hook = Hook::ConfigNode;
    let follower = Follower { hooks: hooks.clone(), hook, told, held, lead: Lead::default() };
    let mut running = JoinSet::new();
    running.spawn(follower.run(published, stop.clone()));
    let names: Vec<String> = (0..1000).map(|number| format!("n{number:04}")).collect();
    for count in [1, 10, 500, 1000] {
        let nodes: Vec<(&str, &str)> =
            names[..count].iter().map(|name| (name.as_str(), "compute")).collect();
        publisher.send_replace(cluster(&nodes));
    }
    until(|| !calls(&log).is_empty()).await;
    until(|| hooks.warnings(clock::milliseconds()).len() == 1).await;
    assert!(
        hooks.warnings(clock::milliseconds())[0].contains("hooks/config/node failed 1 times"),
        "{:?}",
        hooks.warnings(clock::milliseconds())
    );
    until(|| calls(&log).len() == 2 && hooks.warnings(clock::milliseconds()).is_empty()).await;
    for call in calls(&log) {
        assert_eq!(call["changes"].as_array().unwrap().len(), 1000);
    }
    stop.cancel();
    running.join_next().await.unwrap().unwrap();
}

#[tokio::test]
async fn python_files_of_existing_sites_are_called_as_they_expect() {
    let directory = tempfile::tempdir().unwrap();
    let plugins = directory.path().join("plugins");
    let log = directory.path().join("log");
    let class = format!(
        "class Plugin():\n    def say(self, *words):\n        open('{}', 'a').write(repr(words) + '\\n')\n    def postcreate(self, name=None, group=None):\n        self.say('postcreate', name, group)\n    def delete(self, name=None):\n        self.say('delete', name)\n    def postupdate(self, name=None, group=None):\n        return False, 'no'\n",
        log.display()
    );
    write(&plugins, "hooks/config/node.py", &class);
    let hooks = hooks(&plugins);
    let (before, now) = (cluster(&[("n1", "compute")]), cluster(&[("n2", "login")]));
    let question = told::changes(Hook::ConfigNode, &before, &now).unwrap();
    hooks.runner.call("hooks/config/node", &question).await.unwrap().unwrap();
    let said = fs::read_to_string(&log).unwrap();
    assert_eq!(said, "('delete', 'n1')\n('postcreate', 'n2', 'login')\n");
    let question = told::changes(Hook::ConfigNode, &cluster(&[("n1", "login")]), &before).unwrap();
    let failure = hooks.runner.call("hooks/config/node", &question).await.unwrap().unwrap_err();
    assert!(failure.contains("postupdate answered (False, 'no')"), "{failure}");
    let bulk = format!(
        "class Plugin:\n    def bulk(self, fullset=None):\n        open('{}', 'w').write(repr([sorted(row.items()) for row in fullset]))\n",
        log.display()
    );
    write(&plugins, "hooks/config/node.py", &bulk);
    hooks.run_once(Hook::ConfigNode, &now).await.unwrap();
    assert_eq!(fs::read_to_string(&log).unwrap(), "[[('group', 'login'), ('name', 'n2')]]");
    write(&plugins, "hooks/config/node.py", "import nothing_of_this_name\n");
    let failure = hooks.run_once(Hook::ConfigNode, &now).await.unwrap_err();
    assert!(failure.contains("nothing_of_this_name"), "{failure}");
    assert!(hooks.warnings(clock::milliseconds())[0].contains("nothing_of_this_name"));
    assert_eq!(hooks.outcome(Hook::ConfigNode).map(|outcome| outcome.given_up), Some(true));
    // An executable comes before a class.
    write(&plugins, "hooks/config/node", "#!/bin/sh\necho mine\n");
    assert_eq!(hooks.run_once(Hook::ConfigNode, &now).await.unwrap(), b"mine\n");
    assert!(hooks.warnings(clock::milliseconds()).is_empty());
}

#[tokio::test]
async fn hooks_hear_of_states_and_of_the_daemons_beginning_and_end() {
    let directory = tempfile::tempdir().unwrap();
    let (plugins, log) = (directory.path().join("plugins"), directory.path().join("log"));
    let script = format!("#!/bin/sh\ncat >> {}\n", log.display());
    write(&plugins, "hooks/luna/default", &script);
    write(&plugins, "hooks/monitor/node", &script);
    let (store, _) =
        perilune_store::Store::open(directory.path(), &directory.path().join("key")).unwrap();
    let (status, writer, _) = Status::open(&store).await.unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(writer.run());
    let (_publisher, published) = watch::channel(cluster(&[("n1", "compute")]));
    let stop = CancellationToken::new();
    let mut running = JoinSet::new();
    running.spawn(hooks(&plugins).run(published, status.clone(), Lead::default(), stop.clone()));
    until(|| calls(&log).len() == 1).await;
    assert_eq!(
        (&calls(&log)[0]["event"], &calls(&log)[0]["nodes"][0]["name"]),
        (&json!("startup"), &json!("n1"))
    );
    status.report(&Name::trusted("n1"), "install.prescript", None, clock::milliseconds());
    status.report(&Name::trusted("n1"), "install.success", None, clock::milliseconds());
    until(|| calls(&log).len() == 2).await;
    assert_eq!(calls(&log)[1]["states"], json!([{ "name": "n1", "state": "install.success" }]));
    stop.cancel();
    running.join_next().await.unwrap().unwrap();
    assert_eq!(calls(&log)[2]["event"], "shutdown");
}
