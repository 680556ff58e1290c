"""Applies the PorticoClasses of the values; run by the Job of templates/class.yaml.

A CRD that this very release brings is served a moment later, up to seconds with several API
servers: until then the answer is 404, and asked again. Exits 1 when the API server refuses, or
when a class belongs to another release: two of them would undo each other's for ever.
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request

ACCOUNT = os.environ.get("ACCOUNT", "/var/run/secrets/kubernetes.io/serviceaccount")
SERVER = os.environ.get("SERVER") or "https://{}:{}".format(
    f"[{host}]" if ":" in (host := os.environ["KUBERNETES_SERVICE_HOST"]) else host,
    os.environ["KUBERNETES_SERVICE_PORT"],
)
CLASSES = json.loads(os.environ["CLASSES"])
PATH = f"{SERVER}/apis/portico.dev/v1alpha1/porticoclasses"
APPLY = "?fieldManager=portico-chart&force=true&fieldValidation=Strict"
OWNER = ("meta.helm.sh/release-namespace", "meta.helm.sh/release-name")
# Not served yet, an account that is new, a server that is busy or starts. Not 500: that is how an
# unknown field is refused.
PASSING = {401, 404, 429, 502, 503, 504}


def ask(method: str, url: str, body: bytes | None = None) -> tuple[int, dict]:
    """Status and document; status 0 where nobody answers."""
    with open(f"{ACCOUNT}/token") as file:
        headers = {
            "Authorization": f"Bearer {file.read().strip()}",
            "Content-Type": "application/apply-patch+yaml",
        }
    request = urllib.request.Request(url, body, headers, method=method)
    context = ssl.create_default_context(cafile=f"{ACCOUNT}/ca.crt")
    try:
        with urllib.request.urlopen(request, context=context, timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")
        try:
            return error.code, {"message": json.loads(said)["message"]}
        except (ValueError, KeyError, TypeError):
            return error.code, {"message": said}
    except OSError as error:
        return 0, {"message": str(error)}


def owner(document: dict) -> str:
    """Namespace and name of the release that a class belongs to; empty: of none."""
    annotations = document["metadata"].get("annotations") or {}
    return "/".join(annotations[key] for key in OWNER if key in annotations)


def apply(document: dict) -> str:
    """Server-side apply; empty when done, else what to wait out."""
    name = document["metadata"]["name"]
    status, found = ask("GET", f"{PATH}/{name}")
    if status == 200 and owner(found) not in ("", owner(document)):
        sys.exit(
            f"PorticoClass {name} belongs to the release {owner(found)}: give this one's another"
            f" name (class.name), or, if that release is gone, hand it over:"
            f" kubectl annotate porticoclass {name} {' '.join(f'{key}-' for key in OWNER)}"
        )
    if status in (200, 404):
        body = json.dumps(document).encode()
        status, found = ask("PATCH", f"{PATH}/{name}{APPLY}", body)
    if status in (200, 201):
        return ""
    if status and status not in PASSING:
        sys.exit(f"PorticoClass {name} is refused: {found['message']}")
    return f"{status}: {found['message']}" if status else found["message"]


for each in CLASSES:
    while problem := apply(each):
        print(f"waiting: {problem}", flush=True)
        time.sleep(0.5)
    print(f"PorticoClass {each['metadata']['name']} is applied", flush=True)
