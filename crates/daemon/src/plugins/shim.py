"""Calls the class Plugin of a Python file as existing sites know it. The question is JSON on standard input."""
import importlib.util
import json
import os
import sys

path = sys.argv[1]
told = json.load(sys.stdin)
# What a class prints is no part of the answer.
answers = os.fdopen(os.dup(1), "w")
if "operation" in told:
    os.dup2(2, 1)
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


def work(name, *arguments):
    """Calls what works in place of the daemon: it answers (True or False, what it says, results...)."""
    answer = getattr(plugin, name)(*arguments)
    answer = answer if isinstance(answer, tuple) else (answer,)
    if not answer or answer[0] is not True:
        sys.exit(f"{name} answered {answer!r}")
    message = answer[1] if len(answer) > 1 and isinstance(answer[1], str) else None
    return message, [None if one is None else str(one) for one in answer[2:]]


def answer_of(told):
    operation, of = told["operation"], told.get
    lists = (of("grab_filesystems"), of("grab_exclude"))
    if operation == "pack" and hasattr(plugin, "pack"):
        message, made = work("pack", of("osimage"), of("image_path"), of("files_path"), of("kernel_version"), of("kernel_modules"))
        names = dict(zip(("kernelfile", "initrdfile"), made))
    elif operation == "build" and hasattr(plugin, "build"):
        message, made = work("build", of("osimage"), of("image_path"), of("files_path"), "/tmp")
        names = dict(zip(("imagefile",), made))
    elif operation == "grab":
        message, made = work("grab", of("osimage"), of("image_path"), of("node"), *lists, of("nodry"))
        names = dict(zip(("kernelversion",), made))
    elif operation == "push":
        message, names = work("push", of("osimage"), of("image_path"), of("node"), *lists, of("nodry"))[0], {}
    elif operation == "clone":
        message, names = work("clone", of("source"), of("destination"))[0], {}
    elif operation == "cleanup":
        message, names = work("cleanup", of("files_path"), of("file_to_remove"))[0], {}
    elif operation in ("pack", "build"):
        return {}
    else:
        sys.exit(f"{told['plugin']} of Python files is not called; write an executable program")
    return {"message": message, **names}


if "operation" in told:
    json.dump(answer_of(told), answers)
    answers.close()
    sys.exit()
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
