"""A small Flask application behind Flask-Limiter: app.py PORT STRATEGY LIMIT HEADERS, where HEADERS is `on` or `off`."""
import sys, time
from flask import Flask, jsonify
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from waitress import serve

port, strategy, limit, headers = sys.argv[1:5]
app = Flask(__name__)
Limiter(get_remote_address, app=app, strategy=strategy, application_limits=[limit], storage_uri="memory://",
        headers_enabled=headers == "on")


@app.post("/<name>")
def answer(name: str):
    time.sleep(0.005)
    return jsonify(ok=True)


serve(app, host="127.0.0.1", port=int(port), threads=40)
