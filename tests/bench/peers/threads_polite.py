#!/usr/bin/env python3
"""The users' script as people mend it after their first 429: a thread a chunk; a call that was refused (429, 503) sleeps as
long as the answer asks, or a second, and is made again; any other failure is tried five times with waits of 1, 2, 4, 8 s.
It keeps everything in memory. It is the baseline for pace.

    threads_polite.py FOLDER THREADS URL OUT.json [SECONDS [CALLS.csv]]      needs: pip install requests

With SECONDS it stops after them; CALLS.csv has a line a call: started, ended (ms since 1970), status (0: no answer)."""
import json, os, sys, threading, time
import requests

folder, n, url, out = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
end = time.monotonic() + (float(sys.argv[5]) if len(sys.argv) > 5 else 1e9)
csv = sys.argv[6] if len(sys.argv) > 6 else None
files = sorted(os.path.join(folder, f) for f in os.listdir(folder))
store, failed, calls, lock = {}, [], [], threading.Lock()

def now_ms():
    return int(time.time() * 1000)

def api_call(session, file):
    tries = 0
    while time.monotonic() < end:
        with open(file, "rb") as f:
            body = f.read()
        started, r, why = now_ms(), None, ""
        try:
            r = session.post(url + "/" + os.path.basename(file), data=body, timeout=600)
        except requests.RequestException as e:
            why = str(e)
        status = 0 if r is None else r.status_code
        with lock:
            calls.append((started, now_ms(), status))
        if r is not None and r.ok:
            return r.json()
        if status in (429, 503):
            try:
                wait = float(r.headers.get("Retry-After", 1))
            except ValueError:
                wait = 1.0
            time.sleep(max(0, min(wait, end - time.monotonic())))
            continue
        tries += 1
        if tries == 5 or 400 <= status < 500:
            raise RuntimeError(why or f"HTTP {status}")
        time.sleep(2 ** (tries - 1))
    raise TimeoutError("out of time")

def chunk_processor(chunk):
    with requests.Session() as session:
        for file in chunk:
            if time.monotonic() >= end:
                return
            try:
                result = api_call(session, file)
            except TimeoutError:
                return
            except Exception as e:
                with lock:
                    failed.append((file, str(e)))
                continue
            with lock:
                store[file] = result

began = time.monotonic()
threads = [threading.Thread(target=chunk_processor, args=(files[i::n],)) for i in range(n)]
[t.start() for t in threads]
[t.join() for t in threads]
with open(out, "w") as fp:
    json.dump(store, fp)
if csv:
    with open(csv, "w") as fp:
        fp.writelines("%d,%d,%d\n" % call for call in calls)
refused = sum(status in (429, 503) for _, _, status in calls)
print(f"{len(store)} done, {len(failed)} failed, {len(calls)} calls, {refused} refused, {time.monotonic() - began:.1f} s")
