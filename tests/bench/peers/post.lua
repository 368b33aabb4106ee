-- The body of the small files, sent over and over.
wrk.method = "POST"
wrk.body = string.rep("a small text, of which there are many. ", 27)
