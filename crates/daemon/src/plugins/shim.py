"""Calls the class Plugin of a Python file as existing sites know it: shim.py FILE PLUGIN, with the question as JSON on standard input."""
import importlib.util
import inspect
import json
import os
import sys

path, kind = sys.argv[1], os.path.dirname(sys.argv[2])
told = json.load(sys.stdin)
answers = os.fdopen(os.dup(1), "w")
is_hook = kind.split("/")[0] == "hooks"
if not is_hook:
    # What a class prints is no part of the answer.
    os.dup2(2, 1)
top = path
while os.path.basename(top) != "plugins" and os.path.dirname(top) != top:
    top = os.path.dirname(top)
sys.path[:0] = [os.path.dirname(path), os.path.dirname(top)]
spec = importlib.util.spec_from_file_location("plugin", path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
if not hasattr(module, "Plugin"):
    sys.exit(f"{path} has no class Plugin")
plugin = module.Plugin() if isinstance(module.Plugin, type) else module.Plugin


def fits(method, arguments, named):
    try:
        inspect.signature(method).bind(*arguments, **named)
    except TypeError:
        return False
    except ValueError:
        pass
    return True


def ask(name, *ways):
    """What a method answers. Ways to call it: (arguments, named arguments); the first that it takes, of an object or of the class alone."""
    owners = [getattr(one, name) for one in (plugin, module.Plugin) if hasattr(one, name)]
    for arguments, named in ways:
        for method in owners:
            if fits(method, arguments, named):
                return method(*arguments, **named)
    return owners[0](*ways[0][0], **ways[0][1])


def has(name):
    return hasattr(plugin, name)


def tell(name, *arguments):
    """Tells a hook, which may do without the method."""
    answer = ask(name, (arguments, {})) if has(name) else None
    if answer is False or (isinstance(answer, tuple) and answer and answer[0] is False):
        sys.exit(f"{name} answered {answer!r}")


def results(name, *ways):
    """What a method answers after True; it ends here when that is something else."""
    if not has(name):
        sys.exit(f"{path} has no method {name}")
    answer = ask(name, *ways)
    answer = answer if isinstance(answer, (tuple, list)) else (answer,)
    if not answer or answer[0] is not True:
        sys.exit(f"{name} answered {answer!r}")
    return answer[1:]


def work(name, *arguments):
    """What works in place of the daemon: what it says, and its results as texts."""
    message, *made = results(name, (arguments, {})) or (None,)
    return message if isinstance(message, str) else None, [None if one is None else str(one) for one in made]


def hook():
    of, kept = told.get, kind + "/" + os.path.basename(sys.argv[2])
    words = {"create": "postcreate", "update": "postupdate"}
    if kept in ("hooks/config/node", "hooks/config/group"):
        key = "nodes" if kept == "hooks/config/node" else "groups"
        members = {one["name"]: one.get("nodes", []) for one in told[key]}
        if has("bulk"):
            tell("bulk", told[key])
            return
        for change in told["changes"]:
            if change["action"] == "delete":
                tell("delete", change["name"])
            else:
                beside = change["group"] if key == "nodes" else members.get(change["name"], [])
                tell(words[change["action"]], change["name"], beside)
    elif kept == "hooks/config/dns":
        tell("notify")
    elif kept == "hooks/monitor/node":
        for one in told["states"]:
            tell(one["state"].replace(".", "_").replace(" ", "_"), one["name"])
    elif kept == "hooks/luna/default":
        tell(told["event"], told["nodes"])
    elif kind == "hooks/control":
        tell(of("action"), of("name"), of("group"))


def image():
    operation, of = told["operation"], told.get
    lists = (of("grab_filesystems"), of("grab_exclude"))
    names = {}
    if operation in ("pack", "build") and not has(operation):
        return {}
    if operation == "pack":
        message, made = work("pack", of("osimage"), of("image_path"), of("files_path"), of("kernel_version"), of("kernel_modules"))
        names = dict(zip(("kernelfile", "initrdfile"), made))
    elif operation == "build":
        message, made = work("build", of("osimage"), of("image_path"), of("files_path"), "/tmp")
        names = dict(zip(("imagefile",), made))
    elif operation == "grab":
        message, made = work("grab", of("osimage"), of("image_path"), of("node"), *lists, of("nodry"))
        names = dict(zip(("kernelversion",), made))
    elif operation == "push":
        message, _ = work("push", of("osimage"), of("image_path"), of("node"), *lists, of("nodry"))
    elif operation == "clone":
        message, _ = work("clone", of("source"), of("destination"))
    else:
        message, _ = work("cleanup", of("files_path"), of("file_to_remove"))
    return {"message": message, **names}


def provision():
    of = told.get
    if not has(of("operation")):
        return {}
    if of("operation") == "create":
        server = ("server_ipaddress", "server_port", "server_protocol")
        message, _ = work("create", of("image_file"), of("files_path"), *(of(key) for key in server))
    else:
        message, _ = work("cleanup", of("files_path"), of("image_file"))
    return {"message": message}


def control():
    action = told["action"]
    names = {"chassis identify": "identify", "chassis noidentify": "no_identify"}
    name = names.get(action, action.replace(" ", "_"))
    if not has(name):
        return {"error": f"{os.path.basename(path)} has no method {name}"}
    named = {"device": told["address"], "username": told["username"], "password": told["password"]}
    answer = ask(name, ((), named), (tuple(named.values()), {}))
    is_done, text = answer if isinstance(answer, (tuple, list)) and len(answer) == 2 else (answer, "")
    text = "" if text is None else str(text)
    if is_done is not True:
        return {"error": text or f"{name} answered {answer!r}"}
    if action == "power status":
        return {"power": text.strip().lower()}
    return {"text": "\n".join(text.split(";;"))}


def detection():
    if told.get("operation") == "scan":
        tell("clear")
        keys = ("name", "ipaddress", "oid", "read", "rw", "uplinkports")
        for switch in told["switches"]:
            tell("scan", *(switch.get(key) for key in keys))
        return {}
    found = ask("find", ((told["macaddress"],), {}))
    found = found if isinstance(found, (tuple, list)) else (found,)
    if found[0] is not True:
        return {}
    keys = ("switch", "port") if sys.argv[2].endswith("switchport") else ("cloud",)
    return dict(zip(keys, found[1:]))


def users():
    name, of = told["operation"], told.get
    if name.startswith("list_"):
        ways = [((), {})]
    elif name.startswith("update_"):
        # The second is what fits every method with two arguments, whatever they mean.
        ways = [((of("name"),), of("data")), ((of("name"), of("data")), {})]
        ways = ways if of("data") else ways[1:]
    else:
        ways = [((of("name"),), {})]
    answer = results(name, *ways)
    return answer[0] if answer and (isinstance(answer[0], dict) or name.startswith(("list_", "get_"))) else {}


def exchange():
    name = "Export" if kind == "export" else "Import"
    name = name if has(name) else name.lower()
    given = dict(told["arguments"]) if kind == "export" else told["data"]
    answer = results(name, ((given,), {}), ((), {}))
    return answer[0] if answer else ""


if is_hook:
    hook()
    sys.exit()
kinds = {"control": control, "boot/detection": detection, "boot/provision": provision, "osuser": users, "export": exchange, "import": exchange}
answer = kinds.get(kind, image)()
if isinstance(answer, str):
    answers.write(answer)
else:
    json.dump(answer, answers)
answers.close()
