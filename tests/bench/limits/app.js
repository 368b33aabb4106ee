// A small Express application behind express-rate-limit: app.js PORT WINDOW_MS LIMIT HEADERS, where HEADERS is `none`,
// `draft-6`, `draft-7` or `draft-8`.
const express = require("express");
const { rateLimit } = require("express-rate-limit");

const [port, windowMs, limit] = process.argv.slice(2, 5).map(Number);
const headers = process.argv[5];
const app = express();
app.use(rateLimit({ windowMs, limit, legacyHeaders: false, standardHeaders: headers === "none" ? false : headers }));
app.post("/{*name}", (request, response) => setTimeout(() => response.json({ ok: true }), 5));
app.listen(port, "127.0.0.1", 1024);
