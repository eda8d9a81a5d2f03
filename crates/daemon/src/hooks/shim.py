"""Calls the class Plugin of a Python file as existing sites know it. The question is JSON on standard input."""
import importlib.util
import json
import os
import sys

path = sys.argv[1]
told = json.load(sys.stdin)
top = path
while os.path.basename(top) != "plugins" and os.path.dirname(top) != top:
    top = os.path.dirname(top)
sys.path[:0] = [os.path.dirname(path), os.path.dirname(top)]
spec = importlib.util.spec_from_file_location("plugin", path)
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
plugin = module.Plugin() if isinstance(module.Plugin, type) else module.Plugin


def call(name, *arguments):
    method = getattr(plugin, name, None)
    if method is None:
        return
    answer = method(*arguments)
    if answer is False or (isinstance(answer, tuple) and answer and answer[0] is False):
        sys.exit(f"{name} answered {answer!r}")


hook = told["hook"]
if hook == "hooks/config/node":
    if hasattr(plugin, "bulk"):
        call("bulk", told["nodes"])
    else:
        for change in told["changes"]:
            words = {"create": "postcreate", "update": "postupdate"}
            if change["action"] == "delete":
                call("delete", change["name"])
            else:
                call(words[change["action"]], change["name"], change["group"])
elif hook == "hooks/config/group":
    members = {group["name"]: group["nodes"] for group in told["groups"]}
    if hasattr(plugin, "bulk"):
        call("bulk", told["groups"])
    else:
        for change in told["changes"]:
            words = {"create": "postcreate", "update": "postupdate"}
            if change["action"] == "delete":
                call("delete", change["name"])
            else:
                call(words[change["action"]], change["name"], members.get(change["name"], []))
elif hook == "hooks/config/dns":
    call("notify")
elif hook == "hooks/monitor/node":
    for one in told["states"]:
        call(one["state"].replace(".", "_").replace(" ", "_"), one["name"])
elif hook == "hooks/luna/default":
    call(told["event"], told["nodes"])
