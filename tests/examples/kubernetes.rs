//! The Kubernetes scripts: with a made-up `kubectl`, and with the real one against a made-up API server where it is installed.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};

use crate::{Stage, examples};

const DRAIN: &str = "hooks/kubernetes-drain.sh";
const UNCORDON: &str = "hooks/kubernetes-uncordon.sh";

/// A node whose cordon and note are files.
const KUBECTL: &str = r#"
case "$*" in
"get node node-a "*cordoned-before*) cat "$STAGE/note" 2>/dev/null || : ;;
"get node node-a "*unschedulable*) [ ! -e "$STAGE/cordon" ] || printf true ;;
"annotate node node-a "*cordoned-before=*) last=; for word; do last=$word; done; printf '%s' "${last#*=}" >"$STAGE/note" ;;
"annotate node node-a "*cordoned-before-) rm "$STAGE/note" ;;
"drain node-a "*) : >"$STAGE/cordon"; [ ! -e "$STAGE/stuck" ] ;;
"uncordon node-a "*) rm -f "$STAGE/cordon" ;;
*) exit 9 ;;
esac
"#;

fn made_up() -> Stage {
    let stage = Stage::new();
    stage.tool("kubectl", KUBECTL);
    stage
}

#[test]
fn a_drained_node_takes_pods_again_after_its_reboot() {
    let stage = made_up();
    stage.passes(DRAIN, "pre-reboot");
    assert!(stage.path("cordon").exists());
    stage.passes(UNCORDON, "post-boot");
    assert!(!stage.path("cordon").exists() && !stage.path("note").exists());
    // It may run once more.
    stage.passes(UNCORDON, "post-boot");
}

#[test]
fn a_cordon_that_was_there_before_stays() {
    let stage = made_up();
    stage.write("cordon", "");
    stage.passes(DRAIN, "pre-reboot");
    stage.passes(UNCORDON, "post-boot");
    assert!(stage.path("cordon").exists() && !stage.path("note").exists());
}

#[test]
fn a_drain_that_fails_is_undone_and_a_repeated_one_does_not_take_its_own_cordon_for_an_operators() {
    let stage = made_up();
    stage.write("stuck", "");
    stage.refuses(DRAIN, "pre-reboot", "");
    stage.refuses(DRAIN, "pre-reboot", "");
    stage.passes(UNCORDON, "post-boot");
    assert!(!stage.path("cordon").exists());
}

#[test]
fn what_was_not_drained_is_not_uncordoned() {
    let stage = made_up();
    stage.write("cordon", "");
    stage.passes(UNCORDON, "post-boot");
    assert!(stage.path("cordon").exists());
}

#[test]
fn a_node_goes_while_every_other_is_ready_and_returns_when_it_is_ready_itself() {
    let script = "health/kubernetes-node.sh";
    let stage = Stage::new();
    stage.tool(
        "kubectl",
        "case $* in *metadata.name=node-a*) grep ^node-a $STAGE/nodes ;; *) cat $STAGE/nodes ;; esac",
    );
    stage.write("nodes", "node-a=True\nnode-b=True\n");
    stage.passes(script, "pre-lock");
    stage.write("nodes", "node-a=True\nnode-b=Unknown\n");
    stage.refuses(script, "post-lock", "node-b=Unknown");
    stage.passes(script, "post-boot");
    stage.write("nodes", "node-a=False\nnode-b=True\n");
    stage.refuses(script, "post-boot", "not every node is Ready");
    stage.write("nodes", "");
    stage.refuses(script, "pre-lock", "names no node");
}

/// What kubectl asks of an API server while it drains: nodes, pods, and evictions. Rights are those of the manifest.
struct ApiServer {
    node: Value,
    pods: BTreeMap<String, Value>,
    refused: Vec<String>,
    rights: Vec<(String, String)>,
}

impl ApiServer {
    fn new() -> ApiServer {
        let pod = |name: &str, owner: &str| {
            json!({"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "namespace": "default", "uid": name,
                "ownerReferences": [{"apiVersion": "apps/v1", "kind": owner, "name": "it", "uid": "1", "controller": true}]},
                "spec": {"nodeName": "node-a", "containers": []}, "status": {"phase": "Running"}})
        };
        ApiServer {
            node: json!({"kind": "Node", "apiVersion": "v1",
                "metadata": {"name": "node-a", "resourceVersion": "1", "annotations": {"other/one": "stays"}}, "spec": {}}),
            pods: [("web", "ReplicaSet"), ("agent", "DaemonSet")]
                .map(|(name, owner)| (name.to_owned(), pod(name, owner)))
                .into(),
            refused: Vec::new(),
            rights: rights(),
        }
    }

    fn may(&mut self, verb: &str, resource: &str) -> bool {
        let may = self
            .rights
            .contains(&(resource.to_owned(), verb.to_owned()));
        if !may {
            self.refused.push(format!("{verb} {resource}"));
        }
        may
    }

    /// Status and document.
    fn answer(&mut self, method: &str, path: &str, body: &str) -> (u16, Value) {
        let gone = (
            404,
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound", "code": 404}),
        );
        let forbidden = (
            403,
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403}),
        );
        let path = path.split('?').next().unwrap();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let (verb, resource) = match (method, parts.as_slice()) {
            ("GET", ["api"]) => return (200, json!({"kind": "APIVersions", "versions": ["v1"]})),
            ("GET", ["apis"]) => return (200, groups()),
            ("GET", ["api", "v1"]) => return (200, core_resources()),
            ("GET", ["apis", "policy", "v1"]) => {
                return (
                    200,
                    json!({"kind": "APIResourceList", "groupVersion": "policy/v1", "resources": []}),
                );
            }
            ("GET", ["apis", "apps", "v1"]) => {
                return (
                    200,
                    json!({"kind": "APIResourceList", "groupVersion": "apps/v1", "resources": []}),
                );
            }
            ("GET", ["api", "v1", "nodes", "node-a"]) => ("get", "nodes"),
            ("PATCH", ["api", "v1", "nodes", "node-a"]) => ("patch", "nodes"),
            ("GET", ["api", "v1", "pods"]) => ("list", "pods"),
            ("GET", ["api", "v1", "namespaces", _, "pods", _]) => ("get", "pods"),
            ("POST", ["api", "v1", "namespaces", _, "pods", _, "eviction"]) => {
                ("create", "pods/eviction")
            }
            ("GET", ["apis", "apps", "v1", "namespaces", _, "daemonsets", _]) => {
                ("get", "daemonsets")
            }
            _ => return gone,
        };
        if !self.may(verb, resource) {
            return forbidden;
        }
        match (verb, resource) {
            ("patch", _) => {
                merge(&mut self.node, &serde_json::from_str(body).unwrap());
                (200, self.node.clone())
            }
            (_, "nodes") => (200, self.node.clone()),
            ("list", _) => {
                let items: Vec<&Value> = self.pods.values().collect();
                (
                    200,
                    json!({"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items}),
                )
            }
            ("get", "pods") => self
                .pods
                .get(parts[5])
                .map_or(gone, |pod| (200, pod.clone())),
            ("create", _) => {
                self.pods.remove(parts[5]);
                (
                    201,
                    json!({"kind": "Status", "apiVersion": "v1", "status": "Success"}),
                )
            }
            _ => (
                200,
                json!({"kind": "DaemonSet", "apiVersion": "apps/v1", "metadata": {"name": "it", "namespace": "default"}}),
            ),
        }
    }
}

/// Resource and verb of every rule in the manifest.
fn rights() -> Vec<(String, String)> {
    let text = fs::read_to_string(examples().join("kubernetes/rbac.yaml")).unwrap();
    let documents = text
        .split("\n---\n")
        .map(|it| serde_yaml::from_str::<Value>(it).unwrap());
    let role = documents
        .into_iter()
        .find(|it| it["kind"] == "ClusterRole")
        .unwrap();
    let mut found = Vec::new();
    for rule in role["rules"].as_array().unwrap() {
        for resource in rule["resources"].as_array().unwrap() {
            for verb in rule["verbs"].as_array().unwrap() {
                found.push((
                    resource.as_str().unwrap().to_owned(),
                    verb.as_str().unwrap().to_owned(),
                ));
            }
        }
    }
    found
}

fn groups() -> Value {
    let group = |name: &str| {
        let version = json!({"groupVersion": format!("{name}/v1"), "version": "v1"});
        json!({"name": name, "versions": [version], "preferredVersion": version})
    };
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": [group("apps"), group("policy")]})
}

fn core_resources() -> Value {
    let resource = |name: &str, kind: &str, namespaced: bool| json!({"name": name, "singularName": "", "namespaced": namespaced, "kind": kind, "verbs": ["get", "list", "patch", "create"]});
    let mut eviction = resource("pods/eviction", "Eviction", true);
    eviction["group"] = json!("policy");
    eviction["version"] = json!("v1");
    json!({"kind": "APIResourceList", "groupVersion": "v1",
        "resources": [resource("nodes", "Node", false), resource("pods", "Pod", true), eviction]})
}

/// A merge patch.
fn merge(to: &mut Value, from: &Value) {
    let Some(fields) = from.as_object() else {
        *to = from.clone();
        return;
    };
    for (name, value) in fields {
        if value.is_null() {
            to.as_object_mut().unwrap().remove(name);
        } else if value.is_object() {
            if !to[name.as_str()].is_object() {
                to[name.as_str()] = json!({});
            }
            merge(&mut to[name.as_str()], value);
        } else {
            to[name.as_str()] = value.clone();
        }
    }
}

/// Serves until the test ends. Returns what it knows, and its address.
fn serve() -> (Arc<Mutex<ApiServer>>, String) {
    let api = Arc::new(Mutex::new(ApiServer::new()));
    let server = tiny_http::Server::http("127.0.0.1:0").unwrap();
    let address = format!("http://{}", server.server_addr());
    let shared = Arc::clone(&api);
    thread::spawn(move || {
        for mut request in server.incoming_requests() {
            let mut body = String::new();
            request.as_reader().read_to_string(&mut body).unwrap();
            let (status, document) =
                shared
                    .lock()
                    .unwrap()
                    .answer(request.method().as_str(), request.url(), &body);
            let kind = tiny_http::Header::from_bytes("Content-Type", "application/json").unwrap();
            let answer = tiny_http::Response::from_string(document.to_string())
                .with_status_code(status)
                .with_header(kind);
            let _ = request.respond(answer);
        }
    });
    (api, address)
}

#[test]
fn the_real_kubectl_drains_and_uncordons_with_the_rights_of_the_manifest() {
    if Command::new("kubectl")
        .arg("version")
        .arg("--client")
        .output()
        .is_err()
    {
        println!("kubectl is not installed: only a made-up one was tried");
        return;
    }
    for was_cordoned in [false, true] {
        let (api, address) = serve();
        if was_cordoned {
            api.lock().unwrap().node["spec"]["unschedulable"] = json!(true);
        }
        let stage = Stage::new();
        let config = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: it\nclusters: [{{name: it, cluster: {{server: {address}}}}}]\n\
             users: [{{name: it, user: {{}}}}]\ncontexts: [{{name: it, context: {{cluster: it, user: it}}}}]\n"
        );
        stage.write("kubeconfig", &config);
        let file = stage.path("kubeconfig");
        // Where it keeps what it has found out of an API server; without HOME that would be the current folder.
        let cache = stage.path("cache");
        let stage = stage
            .set("KUBECONFIG", file)
            .set("KUBECACHEDIR", cache)
            .set("TIMEOUT", "20s");
        stage.passes(DRAIN, "pre-reboot");
        {
            let api = api.lock().unwrap();
            assert_eq!(api.refused, Vec::<String>::new());
            assert_eq!(api.node["spec"]["unschedulable"], true);
            assert_eq!(
                api.pods.keys().collect::<Vec<_>>(),
                ["agent"],
                "pods of DaemonSets stay"
            );
        }
        stage.passes(UNCORDON, "post-boot");
        let api = api.lock().unwrap();
        assert_eq!(api.refused, Vec::<String>::new());
        assert_eq!(
            api.node["spec"]["unschedulable"] == true,
            was_cordoned,
            "{}",
            api.node
        );
        assert_eq!(
            api.node["metadata"]["annotations"],
            json!({"other/one": "stays"})
        );
    }
}
