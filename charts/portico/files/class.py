"""Applies the PorticoClass of the values; run by the Job of templates/class.yaml.

A CRD that this very release brings is served a moment later, up to seconds with several API
servers: until then the answer is 404, and asked again. Exits 1 when the API server refuses.
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
BODY = os.environ["CLASS"].encode()
NAME = json.loads(BODY)["metadata"]["name"]
URL = (
    f"{SERVER}/apis/portico.dev/v1alpha1/porticoclasses/{NAME}"
    "?fieldManager=portico-chart&force=true&fieldValidation=Strict"
)
# Not served yet, an account that is new, a server that is busy or starts. Not 500: that is how an
# unknown field is refused.
PASSING = {401, 404, 429, 502, 503, 504}


def apply() -> str:
    """Server-side apply; empty when done, else what to wait out."""
    with open(f"{ACCOUNT}/token") as file:
        headers = {
            "Authorization": f"Bearer {file.read().strip()}",
            "Content-Type": "application/apply-patch+yaml",
        }
    request = urllib.request.Request(URL, BODY, headers, method="PATCH")
    context = ssl.create_default_context(cafile=f"{ACCOUNT}/ca.crt")
    try:
        urllib.request.urlopen(request, context=context, timeout=10).close()
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")
        try:
            said = json.loads(said)["message"]
        except (ValueError, KeyError, TypeError):
            pass
        if error.code not in PASSING:
            sys.exit(f"PorticoClass {NAME} is refused: {said}")
        return f"{error.code}: {said}"
    except OSError as error:
        return str(error)
    return ""


while problem := apply():
    print(f"waiting: {problem}", flush=True)
    time.sleep(0.5)
print(f"PorticoClass {NAME} is applied")
