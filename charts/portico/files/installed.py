"""`helm test`: asks every part of a release over the network whether it serves.

Run by templates/tests/installed.yaml with the Services' names in the environment; exits 1 when a
part does not answer in time, and says which.
"""

import os
import sys
import time
import urllib.error
import urllib.request

PATIENCE_S = float(os.environ.get("PATIENCE", "60"))


def answered(url: str, statuses: range) -> str:
    """Empty when the answer is one of these; otherwise what came instead."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            status = answer.status
    except urllib.error.HTTPError as error:
        status = error.code
    except OSError as error:
        return f"{url}: {error}"
    return "" if status in statuses else f"{url}: {status}"


CHECKS = [("operator is ready", f"http://{os.environ['OPERATOR']}/readyz", range(200, 201))]
for host in os.environ["DATAPLANES"].split():
    CHECKS += [
        ("data plane is ready", f"http://{host}/readyz", range(200, 201)),
        ("metrics are exported", f"http://{host}/metrics", range(200, 201)),
    ]
for host in os.environ["TRAFFIC"].split():
    # No API has this host: that the gateway says so shows that it answers.
    CHECKS.append(("traffic is answered", f"http://{host}/", range(200, 500)))

failed = 0
end = time.monotonic() + PATIENCE_S
for what, url, statuses in CHECKS:
    while (problem := answered(url, statuses)) and time.monotonic() < end:
        time.sleep(1)
    print(f"{'FAILED' if problem else 'ok'}: {what} {problem}".rstrip(), flush=True)
    failed += bool(problem)
sys.exit(1 if failed else 0)
