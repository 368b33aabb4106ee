#!/usr/bin/env python3
"""The script users write today, with a session per thread. Keeps everything in memory.
usage: threads.py DIR N_CHUNKS URL OUT.json      needs: pip install requests"""
import json, os, sys, time
from threading import Thread
import requests

def make_chunks(l, num_chunks):
    return [l[i::num_chunks] for i in range(num_chunks)]

def api_call(session, file, url):
    with open(file, "rb") as f:
        r = session.post(f"{url}/{os.path.basename(file)}", data=f.read())
    r.raise_for_status()
    return r.json()

def chunk_processor(chunk, store, url):
    session = requests.Session()
    for file in chunk:
        store[file] = api_call(session, file, url)

if __name__ == "__main__":
    directory, chunks, url, out = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
    files = sorted(e.path for e in os.scandir(directory))
    t, store = time.time(), {}
    threads = [Thread(target=chunk_processor, args=(c, store, url)) for c in make_chunks(files, chunks)]
    [t_.start() for t_ in threads]
    [t_.join() for t_ in threads]
    with open(out, "w") as fp:
        json.dump(store, fp)
    print(f"{len(store) / (time.time() - t):.0f} calls/s, {len(store)} results")
